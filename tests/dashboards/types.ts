// Grafana's own types of what a dashboard is made of.
import type { Dashboard } from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/types.gen';
import type { Options as BarGauge } from './node_modules/@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import type { Options as Stat } from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type { Options as Table, FieldConfig as TableFields } from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type { Options as TimeSeries, FieldConfig as TimeSeriesFields } from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';
// Mapped, and with that named anew: by their own names the generator would take one `Options` for all.
type As<T> = { [Key in keyof T]: T[Key] };
export type GrafanaDashboard = As<Dashboard>;
export type BarGaugeOptions = As<BarGauge>;
export type StatOptions = As<Stat>;
export type TableOptions = As<Table>;
export type TableFieldConfig = As<TableFields>;
export type TimeSeriesOptions = As<TimeSeries>;
export type TimeSeriesFieldConfig = As<TimeSeriesFields>;
