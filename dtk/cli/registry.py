"""Every command: its name, its area, one line of help. The file and the function are named after the command.

The table stands apart from the functions so that ``dtk --help`` and completion import none of them: each command
pays at start-up only for what it uses itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CommandEntry:
    """A command of the grammar, ``dtk NAME``; ``entry_point`` is where its function is, when the name does not tell.

    Behind ``words_before_command`` words stands a command to run elsewhere, with options of its own; 0 for none.
    If ``starts_early``, the worker of its task may start before the command is loaded (dtk.cli.early_worker).
    """

    name: str
    area: str
    help: str
    entry_point: str = ""
    words_before_command: int = 0
    starts_early: bool = False

    @property
    def function(self) -> str:
        """``MODULE:FUNCTION`` of the command: of ``list-nodes`` it is ``…commands.list_nodes:list_nodes``."""
        word = self.name.replace("-", "_")
        return self.entry_point or f"dtk.cli.commands.{word}:{word}"


WORKSPACE, MODULES, SERVICE, NODES, LIFECYCLE, TASKS = "Workspace", "Modules", "Service", "Nodes", "Lifecycle", "Tasks"

COMMANDS = {
    entry.name: entry
    for entry in (
        CommandEntry("init", WORKSPACE, "Create a workspace in a folder."),
        CommandEntry("validate", WORKSPACE, "Check modules, services and dtk.yaml, and list every mistake."),
        CommandEntry(
            "shell",
            WORKSPACE,
            "Open the interactive shell: locations, completion, tasks in the background.",
            entry_point="dtk.shell.shell_command:shell",
        ),
        CommandEntry("gc", WORKSPACE, "Remove module files that earlier tasks copied."),
        CommandEntry("version", WORKSPACE, "Print the version of dtk."),
        CommandEntry(
            "install", MODULES, "Install modules from a git repository or a folder, and the modules they need."
        ),
        CommandEntry(
            "update", MODULES, "Update installed modules to the latest commits of their refs, and show the changes."
        ),
        CommandEntry("uninstall", MODULES, "Remove an installed module and the modules that only it needed."),
        CommandEntry("module", MODULES, "Create a new module: small, valid, with a test."),
        CommandEntry(
            "test",
            MODULES,
            "Run the test cases of modules: compare plans and, with --apply, run tasks on local nodes.",
            entry_point="dtk.cli.commands.test:run_tests",
        ),
        CommandEntry("fmt", MODULES, "Format YAML documents; keep comments, order and quotes."),
        CommandEntry(
            "convert",
            MODULES,
            "Convert modules of the original DTK (2015 and unified ones), and list what cannot be converted.",
        ),
        CommandEntry(
            "list-modules",
            MODULES,
            "List modules: those of this workspace, installed ones, and those that come with dtk.",
        ),
        CommandEntry("list-assemblies", MODULES, "List the assemblies that can be staged."),
        CommandEntry("stage", SERVICE, "Create a service instance from an assembly, without running anything."),
        CommandEntry("ls", SERVICE, "List the service instances of the workspace."),
        CommandEntry("info", SERVICE, "Describe a service, a node, a module or an assembly."),
        CommandEntry("list-nodes", SERVICE, "List a service's nodes and their addresses."),
        CommandEntry("list-components", SERVICE, "List the components of a service or of a module."),
        CommandEntry("list-attributes", SERVICE, "List a service's attributes: values, types, links."),
        CommandEntry("outputs", SERVICE, "Show a service's outputs, such as URLs and addresses."),
        CommandEntry("list-links", SERVICE, "List the links between a service's components."),
        CommandEntry("list-actions", SERVICE, "List what dtk exec can run: workflows and actions of components."),
        CommandEntry("list-workflows", SERVICE, "List a service's workflows."),
        CommandEntry("workflow-info", SERVICE, "Show a workflow as written in its module."),
        CommandEntry("list-violations", SERVICE, "List what must be fixed before a service can run."),
        CommandEntry("set-attribute", SERVICE, "Set attributes of a service."),
        CommandEntry("set-required-attributes", SERVICE, "Prompt for every required attribute that has no value."),
        CommandEntry("edit-attributes", SERVICE, "Edit a service's attributes in $EDITOR."),
        CommandEntry("add-component", SERVICE, "Add a component to a node, a group or the service."),
        CommandEntry("delete-component", SERVICE, "Remove a component from a node, a group or the service."),
        CommandEntry("add-node", SERVICE, "Add a node, or a group of nodes, to a service."),
        CommandEntry("delete-node", SERVICE, "Remove a node, a group or one member from a service."),
        CommandEntry("link", SERVICE, "Link a component to another one."),
        CommandEntry("unlink", SERVICE, "Remove a component's link."),
        CommandEntry("graph", SERVICE, "Draw a service's topology and the stages of its plan."),
        CommandEntry("ssh", NODES, "Open a terminal on a node, or run a command there.", words_before_command=2),
        CommandEntry("logs", NODES, "Show the logs of components on nodes."),
        CommandEntry("tail", NODES, "Show the end of a log."),
        CommandEntry("grep", NODES, "Search a log on nodes."),
        CommandEntry("ps", NODES, "List the processes of nodes."),
        CommandEntry("netstat", NODES, "List the ports that nodes listen on."),
        CommandEntry("grant-access", NODES, "Give a person SSH access to a service's nodes."),
        CommandEntry("revoke-access", NODES, "Remove a person's SSH access to a service's nodes."),
        CommandEntry(
            "list-ssh-access",
            NODES,
            "List who can log in to a service's nodes.",
        ),
        CommandEntry("plan", LIFECYCLE, "Show what apply would do, and why."),
        CommandEntry("apply", LIFECYCLE, "Apply a plan and follow the task.", starts_early=True),
        CommandEntry("converge", LIFECYCLE, "Plan and apply every stage, changed or not.", starts_early=True),
        CommandEntry(
            "exec",
            LIFECYCLE,
            "Run a workflow, or an action of a component.",
            entry_point="dtk.cli.commands.exec:execute",
        ),
        CommandEntry("deploy", LIFECYCLE, "Stage, plan and apply an assembly."),
        CommandEntry("start", LIFECYCLE, "Power on a service's nodes."),
        CommandEntry("adopt", LIFECYCLE, "Give a node a machine that exists and that dtk did not create."),
        CommandEntry("replace", LIFECYCLE, "Replace the machines of nodes, a few at a time."),
        CommandEntry("stop", LIFECYCLE, "Power off a service's nodes; their disks are kept."),
        CommandEntry("destroy-and-reset-nodes", LIFECYCLE, "Terminate a service's nodes, but keep the service."),
        CommandEntry("delete-and-destroy", LIFECYCLE, "Terminate a service's nodes and delete the service."),
        CommandEntry("state", LIFECYCLE, "List, show, push, pull, restore, rebuild or unlock the states of services."),
        CommandEntry("task-status", TASKS, "Show a task: table, live screen or stream."),
        CommandEntry("list-tasks", TASKS, "List a service's tasks, newest first."),
        CommandEntry("cancel-task", TASKS, "Cancel the running task of a service."),
        CommandEntry("task-action-detail", TASKS, "Show every operation of a step with its result and output."),
        CommandEntry("task-report", TASKS, "Write a task as a single HTML page."),
        CommandEntry("watch", TASKS, "Serve a running task as a web page that follows it."),
        CommandEntry("doctor", TASKS, "Examine a service: files, state, tasks and nodes. Change nothing."),
        CommandEntry("replay", TASKS, "Replay a finished task on the live screen."),
    )
}
