"""Every command: its area, where its function is, one line of help.

The table stands apart from the functions so that ``dtk --help`` and completion import none of them: each command
pays at start-up only for what it uses itself.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CommandEntry:
    """A command of the grammar: ``dtk NAME``; its function is ``MODULE:FUNCTION``."""

    name: str
    area: str
    function: str
    help: str


WORKSPACE, MODULES, SERVICE, LIFECYCLE, TASKS = "Workspace", "Modules", "Service", "Lifecycle", "Tasks"

COMMANDS = {
    entry.name: entry
    for entry in (
        CommandEntry("init", WORKSPACE, "dtk.cli.commands.workspace:init", "Make a workspace in a folder."),
        CommandEntry(
            "validate",
            WORKSPACE,
            "dtk.cli.commands.validate:validate",
            "Check modules, services and dtk.yaml; list every mistake.",
        ),
        CommandEntry(
            "shell",
            WORKSPACE,
            "dtk.shell.command:shell",
            "Work in the shell: places, completion, tasks in the background.",
        ),
        CommandEntry("version", WORKSPACE, "dtk.cli.commands.workspace:version", "Print the version of dtk."),
        CommandEntry(
            "install",
            MODULES,
            "dtk.cli.commands.install:install",
            "Install modules from a git repository or a folder, and the modules they need.",
        ),
        CommandEntry(
            "update",
            MODULES,
            "dtk.cli.commands.install:update",
            "Move installed modules to what their refs are now, and show what changes.",
        ),
        CommandEntry(
            "uninstall",
            MODULES,
            "dtk.cli.commands.install:uninstall",
            "Remove an installed module, and what only it needed.",
        ),
        CommandEntry(
            "module", MODULES, "dtk.cli.commands.module_new:module", "Make a new module: small, valid, with a test."
        ),
        CommandEntry(
            "test",
            MODULES,
            "dtk.cli.commands.module_tests:run_tests",
            "Run modules' own cases: each plan as expected; with --apply on local nodes, with scripted failures.",
        ),
        CommandEntry(
            "fmt",
            MODULES,
            "dtk.cli.commands.fmt:fmt",
            "Write YAML documents in one form; comments, order and quotes stay.",
        ),
        CommandEntry(
            "convert",
            MODULES,
            "dtk.cli.commands.convert:convert",
            "Convert modules of the original DTK (2015 and unified ones); list what can't be carried over.",
        ),
        CommandEntry(
            "list-modules",
            MODULES,
            "dtk.cli.commands.module_lists:list_modules",
            "List modules: this workspace's own, installed ones, those of dtk; whether each can be parsed.",
        ),
        CommandEntry(
            "list-assemblies",
            MODULES,
            "dtk.cli.commands.modules:list_assemblies",
            "List the assemblies that can be staged.",
        ),
        CommandEntry(
            "stage", SERVICE, "dtk.cli.commands.stage:stage", "Make a service instance of an assembly; run nothing."
        ),
        CommandEntry("ls", SERVICE, "dtk.cli.commands.services:ls", "List the service instances of the workspace."),
        CommandEntry(
            "info", SERVICE, "dtk.cli.commands.info:info", "Describe a service, a node, a module or an assembly."
        ),
        CommandEntry(
            "list-nodes", SERVICE, "dtk.cli.commands.services:list_nodes", "List a service's nodes and their addresses."
        ),
        CommandEntry(
            "list-components",
            SERVICE,
            "dtk.cli.commands.info:list_components",
            "List the components of a service or of a module.",
        ),
        CommandEntry(
            "list-attributes",
            SERVICE,
            "dtk.cli.commands.list_attributes:list_attributes",
            "List a service's attributes: values, types, links.",
        ),
        CommandEntry(
            "list-links",
            SERVICE,
            "dtk.cli.commands.list_links:list_links",
            "List the links between a service's components.",
        ),
        CommandEntry(
            "list-actions",
            SERVICE,
            "dtk.cli.commands.list_actions:list_actions",
            "List what dtk exec can run: workflows and components' actions.",
        ),
        CommandEntry(
            "list-workflows", SERVICE, "dtk.cli.commands.list_actions:list_workflows", "List a service's workflows."
        ),
        CommandEntry(
            "workflow-info",
            SERVICE,
            "dtk.cli.commands.list_actions:workflow_info",
            "Show a workflow as its module writes it.",
        ),
        CommandEntry(
            "list-violations",
            SERVICE,
            "dtk.cli.commands.violations:list_violations",
            "List what must be corrected before a service can run.",
        ),
        CommandEntry(
            "set-attribute", SERVICE, "dtk.cli.commands.attributes:set_attribute", "Set an attribute of a service."
        ),
        CommandEntry(
            "set-required-attributes",
            SERVICE,
            "dtk.cli.commands.violations:set_required_attributes",
            "Ask for every required attribute that has no value.",
        ),
        CommandEntry(
            "edit-attributes",
            SERVICE,
            "dtk.cli.commands.edit_attributes:edit_attributes",
            "Edit a service's attributes in $EDITOR.",
        ),
        CommandEntry(
            "add-component",
            SERVICE,
            "dtk.cli.commands.components:add_component",
            "Add a component to a node, a group or the service.",
        ),
        CommandEntry(
            "delete-component",
            SERVICE,
            "dtk.cli.commands.components:delete_component",
            "Take a component away from a node, a group or the service.",
        ),
        CommandEntry(
            "add-node", SERVICE, "dtk.cli.commands.nodes:add_node", "Add a node, or a group of nodes, to a service."
        ),
        CommandEntry(
            "delete-node",
            SERVICE,
            "dtk.cli.commands.nodes:delete_node",
            "Take a node, a group or one member out of a service.",
        ),
        CommandEntry("link", SERVICE, "dtk.cli.commands.links:link", "Link a component to another one."),
        CommandEntry("unlink", SERVICE, "dtk.cli.commands.links:unlink", "Take a component's link away."),
        CommandEntry(
            "graph", SERVICE, "dtk.cli.commands.graph:graph", "Draw a service's topology and the stages of its plan."
        ),
        CommandEntry("ssh", SERVICE, "dtk.cli.commands.ssh:ssh", "Open a terminal on a node, or run a command there."),
        CommandEntry("plan", LIFECYCLE, "dtk.cli.commands.plan:plan", "Show what apply would do, and why."),
        CommandEntry("apply", LIFECYCLE, "dtk.cli.commands.apply:apply", "Do what a plan says, and follow it."),
        CommandEntry(
            "converge", LIFECYCLE, "dtk.cli.commands.apply:converge", "Plan and apply every stage, changed or not."
        ),
        CommandEntry(
            "exec", LIFECYCLE, "dtk.cli.commands.execute:execute", "Run a workflow, or an action of a component."
        ),
        CommandEntry(
            "deploy", LIFECYCLE, "dtk.cli.commands.deploy:deploy", "Stage, plan and apply an assembly in one go."
        ),
        CommandEntry("start", LIFECYCLE, "dtk.cli.commands.power:start", "Power a service's nodes on."),
        CommandEntry(
            "stop", LIFECYCLE, "dtk.cli.commands.power:stop", "Power a service's nodes off; their disks stay."
        ),
        CommandEntry(
            "delete-and-destroy",
            LIFECYCLE,
            "dtk.cli.commands.destroy:delete_and_destroy",
            "End a service's nodes and delete it.",
        ),
        CommandEntry(
            "task-status", TASKS, "dtk.cli.commands.tasks:task_status", "Show a task: table, live screen or stream."
        ),
        CommandEntry(
            "list-tasks", TASKS, "dtk.cli.commands.task_history:list_tasks", "List a service's tasks, newest first."
        ),
        CommandEntry(
            "cancel-task", TASKS, "dtk.cli.commands.tasks:cancel_task", "Cancel the running task of a service."
        ),
        CommandEntry(
            "task-action-detail",
            TASKS,
            "dtk.cli.commands.task_history:task_action_detail",
            "Show every operation of a step: what, changed or not, output.",
        ),
        CommandEntry(
            "task-report", TASKS, "dtk.cli.commands.task_report:task_report", "Write a task as one page for a browser."
        ),
        CommandEntry(
            "replay", TASKS, "dtk.cli.commands.task_history:replay", "Play a finished task through the live screen."
        ),
    )
}
