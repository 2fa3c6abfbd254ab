"""Operation arguments that need special handling: shell commands (their values are quoted) and module files."""

SHELL_ARGUMENTS = {"server.shell": "commands"}
FILE_ARGUMENTS = {
    "files.put": "src",
    "files.template": "src",
    "files.sync": "src",
    "server.script": "src",
    "server.script_template": "src",
}
FOLDER_OPERATION = "files.sync"
"""The only one of these operations that takes a folder; the others take a file."""

TEMPLATE_SETTINGS = "jinja_env_kwargs"
"""The argument of ``files.template`` with settings for Jinja2."""
TEMPLATE_BLANKS = ("trim_blocks", "lstrip_blocks")
"""The supported Jinja2 settings: whether to drop the line break after a block and the blanks before it."""
