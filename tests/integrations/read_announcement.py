"""read_announcement.py FILE: whether Home Assistant understands an announcement.

FILE holds the discovery message and records as they came from the broker (tests/discovery.rs).
Each component goes through the schema of Home Assistant's own MQTT integration, and each record
through the templates, as its entities would read it. Device discovery joins the shared parts to
each component, which is done here: the release that runs on this Python is older than that.
HOME_ASSISTANT_SOURCE, if set, is a newer release's source: its units, classes and keys count too.
"""

import ast
import json
import os
import sys
from pathlib import Path

import jinja2
from homeassistant.components.mqtt import binary_sensor, sensor
from homeassistant.components.mqtt.mixins import MQTT_ENTITY_DEVICE_INFO_SCHEMA
from homeassistant.components.sensor.const import (
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
)

SCHEMAS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}


def check_component(key, component, message):
    component = dict(component)
    platform = component.pop("platform")
    assert component, f"{key} has only a platform: it would be removed"
    assert key == key.strip() and component["unique_id"], key
    config = SCHEMAS[platform]({**component, "device": message["device"]})
    # Keys that the schema does not know are dropped without a word.
    lost = set(component) - set(config)
    assert not lost, f"{key}: unknown to Home Assistant: {lost}"
    device_class = component.get("device_class")
    if platform == "sensor" and device_class:
        unit, state_class = component["unit_of_measurement"], component["state_class"]
        assert unit in DEVICE_CLASS_UNITS[device_class], f"{key}: {unit} is no {device_class}"
        assert state_class in DEVICE_CLASS_STATE_CLASSES[device_class], f"{key}: {state_class}"


def check_newer(source, message):
    """Of a release that this Python can't run: its tables, read as text."""
    mqtt = source / "homeassistant/components/mqtt"
    tree = ast.parse((mqtt / "abbreviations.py").read_text())
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    known = set(tables["ABBREVIATIONS"].values()) | {"platform", "name", "icon", "unique_id"}
    known |= set(tables["ABBREVIATIONS"])
    for key, component in message["components"].items():
        lost = set(component) - known
        assert not lost, f"{key}: unknown to the newer release: {lost}"
    assert set(message["device"]) <= set(tables["DEVICE_ABBREVIATIONS"].values()) | {"name"}
    assert set(message["origin"]) <= set(tables["ORIGIN_ABBREVIATIONS"].values()) | {"name"}
    schemas = (mqtt / "schemas.py").read_text()
    assert "CONF_COMPONENTS" in schemas and "MQTT_ORIGIN_INFO_SCHEMA" in schemas
    # device class -> names of units, such as UnitOfPower.WATT or set(UnitOfEnergy).
    constants = (source / "homeassistant/components/sensor/const.py").read_text()
    for device_class, unit in {
        "POWER": "UnitOfPower",
        "VOLTAGE": "UnitOfElectricPotential",
        "CURRENT": "UnitOfElectricCurrent",
        "ENERGY": "UnitOfEnergy",
    }.items():
        line = constants.split("DEVICE_CLASS_UNITS")[1]
        line = line.split(f"SensorDeviceClass.{device_class}:", 1)[1].split("SensorDeviceClass.", 1)[0]
        assert unit in line, f"{device_class}: {line}"


def rendered(template, payload):
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(value=payload, value_json=json.loads(payload))


def check_values(message, records):
    shown = {}
    for topic, payload in records:
        for key, component in message["components"].items():
            if component["state_topic"] == topic:
                value = rendered(component["value_template"], payload)
                shown.setdefault(key, []).append(value)
                if component["platform"] == "binary_sensor":
                    assert value in ("ON", "OFF"), f"{key}: {value}"
                elif "state_class" in component and value != "None":
                    float(value)
            if component.get("json_attributes_topic") == topic:
                attributes = rendered(component["json_attributes_template"], payload)
                assert isinstance(json.loads(attributes), dict), attributes
            for availability in component.get("availability", []):
                if availability["topic"] == topic:
                    state = rendered(availability["value_template"], payload)
                    fits = (availability["payload_available"], availability["payload_not_available"])
                    assert state in fits, state
    return shown


def main():
    announced = json.loads(Path(sys.argv[1]).read_text())
    message = announced["message"]
    MQTT_ENTITY_DEVICE_INFO_SCHEMA(message["device"])
    assert message["origin"]["name"]
    for key, component in message["components"].items():
        check_component(key, component, message)
    if source := os.environ.get("HOME_ASSISTANT_SOURCE"):
        check_newer(Path(source), message)
    shown = check_values(message, announced["records"])
    missing = set(message["components"]) - set(shown)
    assert not missing, f"no record for {missing}"
    for key, values in sorted(shown.items()):
        unit = message["components"][key].get("unit_of_measurement", "")
        print(f"{message['components'][key]['name']:40} {' → '.join(values)} {unit}".rstrip())


main()
