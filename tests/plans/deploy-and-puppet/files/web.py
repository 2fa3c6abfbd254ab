from pyinfra.api import deploy


@deploy("Web")
def install(port, path):
    pass
