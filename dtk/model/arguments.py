"""Operation arguments that are more than values: shell commands, whose values are quoted; files of the module."""

SHELL_ARGUMENTS = {"server.shell": "commands"}
FILE_ARGUMENTS = {
    "files.put": "src",
    "files.template": "src",
    "files.sync": "src",
    "server.script": "src",
    "server.script_template": "src",
}
FOLDER_OPERATION = "files.sync"
"""The one operation of these that takes a folder; the others take a file."""

TEMPLATE_SETTINGS = "jinja_env_kwargs"
"""The argument of ``files.template`` with settings for Jinja2."""
TEMPLATE_BLANKS = ("trim_blocks", "lstrip_blocks")
"""Those of the settings that are taken: whether the line break after a block, and blanks before it, are left out."""
