from pyinfra.api import deploy


@deploy("x")
def install(name_of):
    pass
