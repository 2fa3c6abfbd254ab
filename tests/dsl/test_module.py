"""A valid module is built into the model as its author wrote it; its digest covers the whole tree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dtk.dsl.check.assembly_values import node_attributes
from dtk.dsl.check.component import unproduced_attributes
from dtk.dsl.module import load_module
from dtk.dsl.yaml.shipped import data_folder
from dtk.errors import InvalidError
from dtk.model.module import AttributeTerm, Command, ConstantTerm, Module, Operation, TextTerm
from dtk.model.names import ComponentName

MODULE = """\
# Everything that the language has.
dsl_version: 1.0.0
module: test:demo
version: 1.10
description: A demonstration

components:
  demo:
    attributes:
      version: {default: 2.70, description: Of the whole}
      zip: {type: string, default: 03}
      settings: {type: hash, default: {a: 1.50}}
      sum: {type: hash, dynamic: true}
    actions:
      create: {compute: {sum: "{{ settings }}"}}
  web:
    attributes:
      home: {default: /srv}
      port: {type: port, default: '8080', required: true}
      fixed: {type: integer, constant: true, default: 7}
      password: {secret: true, default: env:PASSWORD}
      address: {dynamic: true}
      kernel: {dynamic: true, hidden: true}
      pid: {type: integer, dynamic: true}
    dependencies: [demo]
    actions:
      create:
        description: Set it up
        defaults: {_sudo: true, _env: {PORT: "{{ port }}"}}
        operations:
          - files.directory: {path: "{{ home }}", mode: 0755}
            unless: test -d {{ home }}
          - files.template: {src: files/web.conf, dest: "{{ home }}/web.conf", extra: 1}
          - apt.update:
        outputs:
          address: "http://{{ node.host_address }}:{{ port }}"
          kernel: {fact: server.Kernel}
          pid: {command: 'cat {{ home }}/pid'}
        retries: 2
        retry_delay: 0
        timeout: 1.5
        on_failure: continue
      smoke_test:
        commands:
          - RUN curl {{ address }} |
            grep ok
          - {RUN: "true", if: 'test -e {{ home }}', unless: "false", timeout: 30, retries: 1}
          - {ADD: a file, source: files/plain.conf, target: "{{ home }}/x", template: true, owner: root, mode: '0600'}
  db:
    singleton: false
    attributes:
      name: {}
      month: {}
      url: {}
      host: {type: array}
      table: {type: hash}
    dependencies: {store: {component: demo::web}}
    link_defs:
      demo::web:
        attribute_mappings:
          - $address -> url
          - $node.host_address -> host
          - http://${node.host_address}:${port}/ -> url
          - home <- 'const'
          - port <- 8081
      settings:
        component: demo
        same_node: true
        attribute_mappings:
          - settings[name] <- $name
          - $settings[a] -> url
"""
ASSEMBLY = """\
dsl_version: 1.0.0
description: One and many
attributes:
  size: {type: integer, default: 1}
components:
  - demo: {attributes: {version: 1.10}}
nodes:
  master:
    attributes: {size: small}
    components:
      - demo::web
      - demo::db[one]:
          attributes: {month: 03}
          component_links: {demo::web: [master/demo::web], settings: demo}
  slaves:
    attributes: {type: group, cardinality: 2}
    components: [demo::web]
workflows:
  create:
    subtask_order: sequential
    subtasks:
      - {name: all, components: [demo, demo::web]}
      - {name: data, ordered_component: "demo::db[one]", max_in_flight: 25%}
      - {name: test, node_group: slaves, action: demo::web.smoke_test, max_in_flight: 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "test" / "demo"
    (folder / "files").mkdir(parents=True)
    (folder / "assemblies").mkdir()
    (folder / "dtk.module.yaml").write_text(MODULE, encoding="utf-8")
    (folder / "assemblies" / "cluster.dtk.assembly.yaml").write_text(ASSEMBLY, encoding="utf-8")
    (folder / "files" / "web.conf").write_text("port = {{ port }}\nextra = {{ extra }}\n", encoding="utf-8")
    (folder / "files" / "plain.conf").write_text("port = {{ port }}\n", encoding="utf-8")
    return folder


@pytest.fixture
def module(folder: Path) -> Module:
    try:
        return load_module(folder, folder)
    except InvalidError as error:
        pytest.fail("\n".join(str(problem) for problem in error.problems))


def test_names_are_full_and_texts_are_as_written(module: Module) -> None:
    assert (module.name, module.version) == ("test/demo", "1.10")
    assert [component.type for component in module.components.values()] == ["demo", "demo::web", "demo::db"]
    demo = module.components["demo"].attributes
    assert (demo["version"].default, demo["zip"].default, demo["settings"].default) == ("2.70", "03", {"a": "1.50"})
    assert module.components["web"].attributes["port"].default == 8080


def test_operations_commands_and_outputs_are_the_authors(module: Module) -> None:
    create = module.components["web"].actions["create"]
    directory, template, update = create.items
    assert isinstance(directory, Operation)
    assert isinstance(template, Operation)
    assert isinstance(update, Operation)
    assert (directory.name, directory.arguments) == ("files.directory", {"path": "{{ home }}", "mode": "0755"})
    assert directory.unless == "test -d {{ home }}"
    assert (update.name, update.arguments) == ("apt.update", {})
    assert create.defaults == {"_sudo": True, "_env": {"PORT": "{{ port }}"}}
    assert [(output.attribute, output.source) for output in create.outputs] == [
        ("address", "expression"),
        ("kernel", "fact"),
        ("pid", "command"),
    ]
    assert (create.retries, create.retry_delay, create.timeout, create.on_failure) == (2, 0.0, 1.5, "continue")
    run, guarded, add = module.components["web"].actions["smoke_test"].items
    assert isinstance(run, Command)
    assert isinstance(guarded, Command)
    assert isinstance(add, Command)
    assert run.command == "curl {{ address }} | grep ok"
    assert (guarded.command, guarded.if_, guarded.unless, guarded.timeout, guarded.retries) == (
        "true",
        "test -e {{ home }}",
        "false",
        30.0,
        1,
    )
    assert (add.source, add.target, add.template, add.owner, add.mode) == (
        "files/plain.conf",
        "{{ home }}/x",
        True,
        "root",
        "0600",
    )


def test_a_computed_attribute_takes_no_node(module: Module) -> None:
    create = module.components["demo"].actions["create"]
    assert (create.provider, create.items) == ("compute", ())
    assert [(output.attribute, output.text) for output in create.outputs] == [("sum", "{{ settings }}")]


def test_links_are_required_optional_or_on_the_same_node(module: Module) -> None:
    web, settings = module.components["db"].links
    assert (web.component, web.required, web.same_node) == ("demo::web", True, False)
    assert (settings.name, settings.component, settings.required, settings.same_node) == (
        "settings",
        "demo",
        False,
        True,
    )
    assert module.components["db"].dependencies == ()
    assert [dependency.component for dependency in module.components["web"].dependencies] == ["demo"]


def test_mappings_are_read_in_the_direction_of_their_arrow(module: Module) -> None:
    address, host, text, constant, number = module.components["db"].links[0].mappings
    assert address.source == AttributeTerm("dependency", "address")
    assert address.destination == AttributeTerm("base", "url")
    assert host.source == AttributeTerm("dependency", "host_address", of_node=True)
    assert text.source == TextTerm(
        (
            "http://",
            AttributeTerm("dependency", "host_address", of_node=True),
            ":",
            AttributeTerm("dependency", "port"),
            "/",
        )
    )
    assert constant.source == ConstantTerm("const")
    assert constant.destination == AttributeTerm("dependency", "home")
    assert number.source == ConstantTerm(8081)
    name, key = module.components["db"].links[1].mappings
    assert name.destination == AttributeTerm("dependency", "settings", "name")
    assert key.source == AttributeTerm("dependency", "settings", "a")


def test_an_assembly_may_stand_in_a_file_of_its_own(module: Module) -> None:
    cluster = module.assemblies["cluster"]
    assert cluster.location.file == "assemblies/cluster.dtk.assembly.yaml"
    assert (cluster.nodes["slaves"].is_group, cluster.nodes["slaves"].cardinality) == (True, 2)
    assert cluster.nodes["master"].attributes == {"size": "small"}
    use = cluster.nodes["master"].components[1]
    assert use.name == ComponentName("demo::db", "one")
    assert str(use.attributes["month"]) == "03"
    assert use.links == {"demo::web": ("master/demo::web",), "settings": ("demo",)}
    assert str(use.locations["month"]) == "assemblies/cluster.dtk.assembly.yaml:13:24"
    stages = cluster.workflows["create"].subtasks
    assert [(stage.name, stage.node, stage.options.max_in_flight) for stage in stages] == [
        ("all", "", None),
        ("data", "", "25%"),
        ("test", "slaves", 1),
    ]
    assert [(str(item.component), item.action) for stage in stages for item in stage.items] == [
        ("demo", "create"),
        ("demo::web", "create"),
        ("demo::db[one]", "create"),
        ("demo::web", "smoke_test"),
    ]


def test_a_dynamic_attribute_that_nothing_produces_is_a_warning(folder: Path) -> None:
    text = MODULE.replace(
        "      pid: {type: integer, dynamic: true}",
        "      pid: {type: integer, dynamic: true}\n      lost: {dynamic: true}",
    )
    (folder / "dtk.module.yaml").write_text(text, encoding="utf-8")
    warnings = unproduced_attributes(load_module(folder, folder))
    assert [str(warning) for warning in warnings] == [
        "dtk.module.yaml:25:7: dynamic attribute 'lost' of 'demo::web' is in no action's outputs"
    ]


def test_the_digest_covers_names_contents_and_the_executable_bit(folder: Path) -> None:
    digests = [load_module(folder).digest]
    (folder / "files" / "web.conf").write_text("port = {{ port }}{{ extra }}\n", encoding="utf-8")
    digests.append(load_module(folder).digest)
    (folder / "files" / "run.sh").write_text("", encoding="utf-8")
    digests.append(load_module(folder).digest)
    (folder / "files" / "run.sh").chmod(0o755)
    digests.append(load_module(folder).digest)
    (folder / "files" / "run.sh").rename(folder / "files" / "start.sh")
    digests.append(load_module(folder).digest)
    assert len(set(digests)) == 5
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in digests)


def test_the_digest_does_not_see_what_git_does_not_keep(folder: Path) -> None:
    before = load_module(folder).digest
    for name in (".git", "files/__pycache__"):
        (folder / name).mkdir()
        (folder / name / "x").write_text("x", encoding="utf-8")
    (folder / "files" / "x.pyc").write_text("x", encoding="utf-8")
    (folder / "dtk.module.yaml").chmod(0o600)
    assert load_module(folder).digest == before


def test_a_folder_without_a_module_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidError) as caught:
        load_module(tmp_path, tmp_path)
    assert [str(problem) for problem in caught.value.problems] == [
        "dtk.module.yaml:1:1: the file can't be read: No such file or directory"
    ]


@pytest.mark.parametrize("folder", sorted(data_folder("modules").glob("*/*")), ids=lambda folder: folder.name)
def test_every_module_that_comes_with_dtk_is_valid(folder: Path) -> None:
    assert load_module(folder).name == f"{folder.parent.name}/{folder.name}"


def test_reading_documents_loads_neither_templates_nor_pyinfra() -> None:
    code = (
        "import sys, dtk.dsl.catalog, dtk.dsl.service, dtk.dsl.workspace, dtk.dsl.yaml.edit, dtk.dsl.yaml.schema\n"
        "print([name for name in ('jinja2', 'jsonschema', 'ruamel.yaml', 'pyinfra') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_checking_a_module_never_imports_pyinfra(folder: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom dtk.dsl.module import load_module\n"
        f"load_module(Path({str(folder)!r}))\nprint('pyinfra' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_people_set_of_a_node_is_what_a_module_may_say_of_it() -> None:
    schema = json.loads((data_folder("schemas") / "module.schema.json").read_text())
    written = schema["$defs"]["node"]["properties"]["attributes"]["properties"]
    assert node_attributes(is_group=True).keys() == written.keys() - {"type"}
    assert node_attributes(is_group=False).keys() == written.keys() - {"type", "cardinality", "max_in_flight"}
