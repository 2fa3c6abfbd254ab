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
    """

    name: str
    area: str
    help: str
    entry_point: str = ""
    words_before_command: int = 0

    @property
    def function(self) -> str:
        """``MODULE:FUNCTION`` of the command: of ``list-nodes`` it is ``…commands.list_nodes:list_nodes``."""
        word = self.name.replace("-", "_")
        return self.entry_point or f"dtk.cli.commands.{word}:{word}"


WORKSPACE, MODULES, SERVICE, NODES, LIFECYCLE, TASKS = "Workspace", "Modules", "Service", "Nodes", "Lifecycle", "Tasks"

COMMANDS = {
    entry.name: entry
    for entry in (
        CommandEntry("init", WORKSPACE, "Make a workspace in a folder."),
        CommandEntry("validate", WORKSPACE, "Check modules, services and dtk.yaml; list every mistake."),
        CommandEntry(
            "shell",
            WORKSPACE,
            "Work in the shell: places, completion, tasks in the background.",
            entry_point="dtk.shell.shell_command:shell",
        ),
        CommandEntry("gc", WORKSPACE, "Remove the copies of module files that earlier tasks took with them."),
        CommandEntry("version", WORKSPACE, "Print the version of dtk."),
        CommandEntry(
            "install", MODULES, "Install modules from a git repository or a folder, and the modules they need."
        ),
        CommandEntry(
            "update", MODULES, "Update installed modules to the latest commits of their refs, and show the changes."
        ),
        CommandEntry("uninstall", MODULES, "Remove an installed module, and what only it needed."),
        CommandEntry("module", MODULES, "Make a new module: small, valid, with a test."),
        CommandEntry(
            "test",
            MODULES,
            "Run modules' own cases: each plan as expected; with --apply on local nodes, with scripted failures.",
            entry_point="dtk.cli.commands.test:run_tests",
        ),
        CommandEntry("fmt", MODULES, "Write YAML documents in one form; comments, order and quotes stay."),
        CommandEntry(
            "convert",
            MODULES,
            "Convert modules of the original DTK (2015 and unified ones); list what can't be carried over.",
        ),
        CommandEntry(
            "list-modules",
            MODULES,
            "List modules: this workspace's own, installed ones, those of dtk; whether each can be parsed.",
        ),
        CommandEntry("list-assemblies", MODULES, "List the assemblies that can be staged."),
        CommandEntry("stage", SERVICE, "Make a service instance of an assembly; run nothing."),
        CommandEntry("ls", SERVICE, "List the service instances of the workspace."),
        CommandEntry("info", SERVICE, "Describe a service, a node, a module or an assembly."),
        CommandEntry("list-nodes", SERVICE, "List a service's nodes and their addresses."),
        CommandEntry("list-components", SERVICE, "List the components of a service or of a module."),
        CommandEntry("list-attributes", SERVICE, "List a service's attributes: values, types, links."),
        CommandEntry("outputs", SERVICE, "Show a service's outputs: its URLs and addresses, as its assembly declares."),
        CommandEntry("list-links", SERVICE, "List the links between a service's components."),
        CommandEntry("list-actions", SERVICE, "List what dtk exec can run: workflows and components' actions."),
        CommandEntry("list-workflows", SERVICE, "List a service's workflows."),
        CommandEntry("workflow-info", SERVICE, "Show a workflow as its module writes it."),
        CommandEntry("list-violations", SERVICE, "List what must be corrected before a service can run."),
        CommandEntry("set-attribute", SERVICE, "Set attributes of a service."),
        CommandEntry("set-required-attributes", SERVICE, "Ask for every required attribute that has no value."),
        CommandEntry("edit-attributes", SERVICE, "Edit a service's attributes in $EDITOR."),
        CommandEntry("add-component", SERVICE, "Add a component to a node, a group or the service."),
        CommandEntry("delete-component", SERVICE, "Take a component away from a node, a group or the service."),
        CommandEntry("add-node", SERVICE, "Add a node, or a group of nodes, to a service."),
        CommandEntry("delete-node", SERVICE, "Take a node, a group or one member out of a service."),
        CommandEntry("link", SERVICE, "Link a component to another one."),
        CommandEntry("unlink", SERVICE, "Take a component's link away."),
        CommandEntry("graph", SERVICE, "Draw a service's topology and the stages of its plan."),
        CommandEntry("ssh", NODES, "Open a terminal on a node, or run a command there.", words_before_command=2),
        CommandEntry("logs", NODES, "Show the logs of components on nodes."),
        CommandEntry("tail", NODES, "Show the end of a log."),
        CommandEntry("grep", NODES, "Find lines in a log on nodes."),
        CommandEntry("ps", NODES, "List the processes of nodes."),
        CommandEntry("netstat", NODES, "List the ports that nodes listen on."),
        CommandEntry("grant-access", NODES, "Let a person log in to a service's nodes."),
        CommandEntry("revoke-access", NODES, "Take a person's access to a service's nodes away."),
        CommandEntry(
            "list-ssh-access",
            NODES,
            "List who may log in to a service's nodes: by grant-access, and by authorized_keys of the target.",
        ),
        CommandEntry("plan", LIFECYCLE, "Show what apply would do, and why."),
        CommandEntry("apply", LIFECYCLE, "Do what a plan says, and follow it."),
        CommandEntry("converge", LIFECYCLE, "Plan and apply every stage, changed or not."),
        CommandEntry(
            "exec",
            LIFECYCLE,
            "Run a workflow, or an action of a component.",
            entry_point="dtk.cli.commands.exec:execute",
        ),
        CommandEntry("deploy", LIFECYCLE, "Stage, plan and apply an assembly in one go."),
        CommandEntry("start", LIFECYCLE, "Power a service's nodes on."),
        CommandEntry("replace", LIFECYCLE, "Give nodes other machines, a few at a time."),
        CommandEntry("stop", LIFECYCLE, "Power a service's nodes off; their disks stay."),
        CommandEntry("destroy-and-reset-nodes", LIFECYCLE, "End a service's nodes, and keep the service."),
        CommandEntry("delete-and-destroy", LIFECYCLE, "End a service's nodes and delete it."),
        CommandEntry(
            "state", LIFECYCLE, "List, show, push, pull, restore, rebuild or unlock what is kept of services' states."
        ),
        CommandEntry("task-status", TASKS, "Show a task: table, live screen or stream."),
        CommandEntry("list-tasks", TASKS, "List a service's tasks, newest first."),
        CommandEntry("cancel-task", TASKS, "Cancel the running task of a service."),
        CommandEntry("task-action-detail", TASKS, "Show every operation of a step: what, changed or not, output."),
        CommandEntry("task-report", TASKS, "Write a task as one page for a browser."),
        CommandEntry("watch", TASKS, "Serve a running task as a page that follows it."),
        CommandEntry("doctor", TASKS, "Look at everything of a service: files, state, tasks, nodes. Change nothing."),
        CommandEntry("replay", TASKS, "Play a finished task through the live screen."),
    )
}
