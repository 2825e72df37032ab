"""deploy/telegraf/jouled.conf without Telegraf, which no package registry has.

Reads messages from standard input, a line of JSON each: {"topic", "payload"}. Writes the
metrics that the configuration makes of them, a line each. XPath is evaluated by libxml2 over
the tree that antchfx/jsonquery makes of JSON: an element a key, in the order of the keys, an
unnamed one an item of a list. As Telegraf's parser does it with `xpath_native_types`, a query
that ends in an element gives the JSON value below it, and null gives nothing.
"""

import json
import re
import sys
import tomllib

from lxml import etree

# The options of the plugin, of the parser and of its sections, as Telegraf documents them.
PLUGIN = {
    "servers", "topics", "topic_tag", "qos", "persistent_session", "client_id", "username",
    "password", "tls_ca", "tls_cert", "tls_key", "data_format", "xpath",
    "xpath_native_types", "xpath_allow_empty_selection",
}
SECTION = {
    "metric_name", "metric_selection", "timestamp", "timestamp_format", "tags", "fields",
    "fields_int",
}
# Go's layout of RFC 3339; it takes fractions of a second too.
RFC3339 = "2006-01-02T15:04:05Z07:00"
# Items of lists have no name there, which XML can't say.
ITEM = "_item_"


class Tree:
    """A JSON document as a tree, with the value that each element stands for."""

    def __init__(self, document):
        self.values = {}
        self.root = self.element("root", document)

    def element(self, name, value):
        node = etree.Element(name)
        self.values[node] = value
        if isinstance(value, dict):
            for key in sorted(value):
                node.append(self.element(key, value[key]))
        elif isinstance(value, list):
            for item in value:
                node.append(self.element(ITEM, item))
        else:
            node.text = value if isinstance(value, str) else json.dumps(value)
        return node

    def query(self, node, query):
        """One result, natively typed; None where there is none."""
        if query.startswith("/"):
            node = self.root
            query = query[1:]
        # Below a selection, the parser takes what a path inside of a function is absolute to
        # for the selected element: such queries mean something else there.
        assert "/" not in re.sub(r"[\w*.]/", "", query), f"an absolute path inside of {query!r}"
        found = node.xpath(query)
        if not isinstance(found, list):
            return str(found) if isinstance(found, str) else found
        return self.values[found[0]] if found else None


def matches(pattern, topic):
    levels = zip(pattern.split("/"), topic.split("/"), strict=False)
    same_length = pattern.count("/") == topic.count("/")
    return same_length and all(want in ("+", level) for want, level in levels)


def as_tag(value):
    return f"{value:G}" if isinstance(value, float) else json.dumps(value).strip('"')


def metric(tree, node, section):
    unknown = set(section) - SECTION
    assert not unknown, f"no options of the XPath parser: {unknown}"
    assert section["timestamp_format"] == RFC3339
    of = lambda query: tree.query(node, query)  # noqa: E731
    tags = {name: of(query) for name, query in section["tags"].items()}
    fields = {name: of(query) for name, query in section.get("fields", {}).items()}
    for name, query in section.get("fields_int", {}).items():
        value = of(query)
        assert value is None or isinstance(value, int), f"{name}: {value!r} is no integer"
        fields[name] = value
    for name, value in fields.items():
        assert not isinstance(value, (dict, list)), f"{name}: {value!r} is no field"
    return {
        "name": of(section["metric_name"]),
        "time": of(section["timestamp"]),
        "tags": {name: as_tag(value) for name, value in tags.items() if value is not None},
        "fields": {name: value for name, value in fields.items() if value is not None},
    }


def main(path):
    with open(path, "rb") as file:
        plugins = tomllib.load(file)["inputs"]["mqtt_consumer"]
    for plugin in plugins:
        unknown = set(plugin) - PLUGIN
        assert not unknown, f"no options of mqtt_consumer: {unknown}"
        assert plugin["data_format"] == "xpath_json" and plugin["xpath_native_types"]
        assert not plugin.get("persistent_session") or plugin["client_id"]
    for line in sys.stdin:
        message = json.loads(line)
        for plugin in plugins:
            if not any(matches(topic, message["topic"]) for topic in plugin["topics"]):
                continue
            tree = Tree(message["payload"])
            for section in plugin["xpath"]:
                selection = section.get("metric_selection")
                nodes = tree.root.xpath(selection) if selection else [tree.root]
                assert nodes or plugin.get("xpath_allow_empty_selection"), selection
                for node in nodes:
                    print(json.dumps(metric(tree, node, section)))


main(sys.argv[1])
