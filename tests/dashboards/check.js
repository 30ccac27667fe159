// Holds dashboards against the schemas in the file that the first argument names; prints what is wrong, and fails then.
const fs = require('fs');
const Ajv = require('ajv');

const [schemas, ...files] = process.argv.slice(2);
const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addSchema(JSON.parse(fs.readFileSync(schemas, 'utf8')), 'grafana');
const schema = (name) => ajv.getSchema(`grafana#/definitions/${name}`);
const OPTIONS = { bargauge: 'BarGaugeOptions', stat: 'StatOptions', table: 'TableOptions', timeseries: 'TimeSeriesOptions' };
const FIELDS = { table: 'TableFieldConfig', timeseries: 'TimeSeriesFieldConfig' };

let wrong = 0;
function hold(where, name, value) {
  const check = schema(name);
  if (!check) throw new Error(`no schema ${name}`);
  if (check(value)) return;
  for (const error of check.errors.slice(0, 8)) {
    wrong += 1;
    console.log(`${where}${error.instancePath}: ${error.message} ${JSON.stringify(error.params)}`);
  }
}

for (const file of files) {
  const dashboard = JSON.parse(fs.readFileSync(file, 'utf8'));
  hold(file, 'GrafanaDashboard', dashboard);
  for (const panel of dashboard.panels.flatMap((one) => [one, ...(one.panels ?? [])])) {
    if (panel.type === 'row') continue;
    const where = `${file}: ${panel.title}`;
    if (!OPTIONS[panel.type]) throw new Error(`${where}: panels of the kind ${panel.type} are not checked yet`);
    hold(`${where}: options`, OPTIONS[panel.type], panel.options);
    const custom = panel.fieldConfig.defaults.custom;
    if (custom) hold(`${where}: fields`, FIELDS[panel.type], custom);
  }
}
process.exit(wrong ? 1 : 0);
