from pyinfra.api import deploy


@deploy("Web")
def install(port, node, path="/srv"):
    pass


def helper():
    pass
