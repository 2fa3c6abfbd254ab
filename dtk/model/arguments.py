"""Operation arguments that are more than values: shell commands, whose values are quoted; files of the module."""

SHELL_ARGUMENTS = {"server.shell": "commands"}
FILE_ARGUMENTS = {
    "files.put": "src",
    "files.template": "src",
    "files.sync": "src",
    "server.script": "src",
    "server.script_template": "src",
}
