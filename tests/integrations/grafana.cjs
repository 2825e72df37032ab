// grafana.cjs TOOLS DASHBOARD: the dashboard against the types of @grafana/schema, of which
// ts-json-schema-generator makes JSON Schemas. Unknown keys are errors.
'use strict';
const fs = require('fs');
const path = require('path');
const Ajv = require('ajv').default;
const { createGenerator } = require('ts-json-schema-generator');

const [tools, file] = process.argv.slice(2);
const types = path.join(tools, 'node_modules/@grafana/schema/dist/types/raw');
const dashboard = JSON.parse(fs.readFileSync(file, 'utf8'));

function validator(of, type) {
  const source = path.join(types, of, 'x/types.gen.d.ts');
  const schema = createGenerator({ path: source, type, skipTypeCheck: true, additionalProperties: false }).createSchema(type);
  return new Ajv({ allErrors: true, strict: false }).compile(schema);
}

let wrong = 0;
function check(validate, value, what) {
  if (validate(value)) return;
  for (const error of validate.errors) {
    wrong += 1;
    console.error(`${what}${error.instancePath}: ${error.message} ${JSON.stringify(error.params)}`);
  }
}

// Options and fields of a panel are any object to the dashboard; each kind of panel has its types.
const kinds = { timeseries: 'timeseries', stat: 'stat', table: 'table', bargauge: 'bargauge', 'state-timeline': 'statetimeline' };
const options = {};
const fields = {};
for (const [kind, folder] of Object.entries(kinds)) {
  options[kind] = validator(`composable/${folder}/panelcfg`, 'Options');
  if (['timeseries', 'state-timeline'].includes(kind)) {
    fields[kind] = validator(`composable/${folder}/panelcfg`, 'FieldConfig');
  }
}

check(validator('dashboard', 'Dashboard'), dashboard, 'dashboard');
const ids = new Set();
for (const panel of dashboard.panels) {
  const what = `panel "${panel.title}" `;
  if (ids.has(panel.id)) { wrong += 1; console.error(`${what}has the id of another`); }
  ids.add(panel.id);
  const { x, w } = panel.gridPos;
  if (x + w > 24) { wrong += 1; console.error(`${what}leaves the grid`); }
  if (panel.type === 'row') continue;
  if (!options[panel.type]) { wrong += 1; console.error(`${what}is of a kind without types here`); continue; }
  check(options[panel.type], panel.options, `${what}options`);
  const custom = panel.fieldConfig.defaults.custom;
  if (fields[panel.type]) check(fields[panel.type], custom, `${what}fields`);
}
if (wrong > 0) process.exit(1);
console.log(`${file}: ${dashboard.panels.length} panels fit Grafana's types`);
