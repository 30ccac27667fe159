// Draws one dashboard with Grafana's own components: its queries against a live Prometheus, its layout, units, colours,
// transformations. What Grafana itself adds around them (variables, the grid, the kinds of panels) is written anew here.
import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  applyFieldOverrides, createTheme, DataFrame, dateTime, FieldConfigOptionsRegistry, FieldType,
  getDisplayValueAlignmentFactors, getFieldDisplayName,
  getFieldDisplayValues, setTimeZoneResolver, standardTransformers, standardTransformersRegistry, ThemeContext,
  toDataFrame, transformDataFrame, VizOrientation,
} from '@grafana/data';
import * as ui from '@grafana/ui';
import { TableNG as Unstable } from '@grafana/ui/unstable';

const { BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries, VizRepeater } = ui as any;
const TableNG = Unstable as any;
const CELL = 30;
const GAP = 8;
const theme = createTheme({ colors: { mode: 'dark' } });
setTimeZoneResolver(() => 'utc');
standardTransformersRegistry.setInit(() =>
  [...new Map(Object.values(standardTransformers).map((t: any) => [t.id, t])).values()].map(
    (t: any) => ({ id: t.id, name: t.name, transformation: () => Promise.resolve(t), editor: () => null }) as any
  )
);

// Grafana does not export what its properties are; these are the ones that the dashboards use.
const registry = new FieldConfigOptionsRegistry();
const property = (id: string, path: string, isCustom: boolean) =>
  registry.register({
    id, path, name: id, isCustom, editor: () => null, override: () => null, process: (v: any) => v,
    shouldApply: () => true, getItemsCount: () => 0,
  } as any);
for (const id of ['displayName', 'unit', 'min', 'max', 'decimals', 'noValue', 'color', 'thresholds', 'mappings', 'links']) {
  property(id, id, false);
}
for (const id of [
  'drawStyle', 'lineWidth', 'fillOpacity', 'lineInterpolation', 'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle', 'axisSoftMax',
  'minWidth', 'align',
  'width', 'cellOptions', 'filterable', 'inspect', 'hideFrom',
]) {
  property('custom.' + id, id, true);
}

interface Settings { prometheus: string; seconds: number; width: number; shown: Record<string, string>; variables: Record<string, string> }

const now = Math.floor(Date.now() / 1000);

function seconds(duration: string): number {
  const found = /^(\d+)([smhd])$/.exec(duration);
  return found ? +found[1] * { s: 1, m: 60, h: 3600, d: 86400 }[found[2] as 's'] : 0;
}

function filled(text: string, settings: Settings, step: number): string {
  const known: Record<string, string> = {
    __rate_interval: '1m', __interval: Math.ceil(step) + 's', __range: settings.seconds + 's', ...settings.variables,
  };
  return text.replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)/g, (all, one, other) => known[one ?? other] ?? all);
}

async function answers(target: any, panel: any, settings: Settings): Promise<DataFrame[]> {
  // An hour's bars of a short history are one bar.
  const step = Math.max(settings.seconds / 150, Math.min(seconds(panel.interval ?? ''), settings.seconds / 12));
  const expr = encodeURIComponent(filled(target.expr, settings, step));
  const start = now - settings.seconds;
  const path = target.instant ? `query?query=${expr}&time=${now}` : `query_range?query=${expr}&start=${start}&end=${now}&step=${step}`;
  const answer = await (await fetch(`${settings.prometheus}/api/v1/${path}`)).json();
  if (answer.status !== 'success') {
    throw new Error(answer.error);
  }
  const series = answer.data.result;
  if (target.format === 'table') {
    const labels = [...new Set<string>(series.flatMap((one: any) => Object.keys(one.metric)))].sort();
    const name = panel.targets.length > 1 ? `Value #${target.refId}` : 'Value';
    if (series.length === 0) {
      return [];
    }
    return [toDataFrame({ refId: target.refId, fields: [
      { name: 'Time', type: FieldType.time, values: series.map((one: any) => one.value[0] * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: series.map((one: any) => one.metric[label] ?? '') })),
      { name, type: FieldType.number, values: series.map((one: any) => +one.value[1]) },
    ] })];
  }
  return series.map((one: any) => {
    let points: Array<[number, string]> = one.values ?? [one.value];
    if (one.values) {
      // Gaps are told by nulls, as Grafana's data source does.
      const there = new Map(points);
      points = [];
      for (let at = start; at <= now; at += step) {
        const key = [...there.keys()].find((t) => Math.abs(t - at) < step / 10);
        points.push([at, key === undefined ? (null as any) : there.get(key)!]);
      }
    }
    const legend = target.legendFormat === '__auto' ? JSON.stringify(one.metric) : target.legendFormat;
    const called = legend.replace(/{{\s*(\w+)\s*}}/g, (_: string, label: string) => one.metric[label] ?? '');
    return toDataFrame({ refId: target.refId, fields: [
      { name: 'Time', type: FieldType.time, values: points.map(([at]) => at * 1000) },
      { name: 'Value', type: FieldType.number, labels: one.metric, config: { displayNameFromDS: called },
        values: points.map(([, value]) => (value === null ? null : +value)) },
    ] });
  });
}

function transformed(frames: DataFrame[], panel: any): Promise<DataFrame[]> {
  return new Promise((resolve) => {
    transformDataFrame(panel.transformations ?? [], frames).subscribe((made: DataFrame[]) => resolve(made));
  });
}

function Content({ panel, frames, settings, w, h }: any) {
  const replaceVariables = (text: string) => text;
  const data = applyFieldOverrides({ data: frames, fieldConfig: panel.fieldConfig, replaceVariables, theme, timeZone: 'utc', fieldConfigRegistry: registry as any });
  // Where the table looks for the names of its columns.
  data.forEach((frame) => frame.fields.forEach((field) => { field.state = { ...field.state, displayName: getFieldDisplayName(field, frame, data) }; }));
  const empty = data.every((frame) => frame.length === 0);
  if (empty && panel.type !== 'stat' && panel.type !== 'bargauge') {
    return <div style={{ height: h, display: 'grid', placeItems: 'center' }}>{panel.fieldConfig.defaults.noValue}</div>;
  }
  const displayed = () => getFieldDisplayValues({
    data, reduceOptions: panel.options.reduceOptions, fieldConfig: panel.fieldConfig, replaceVariables, theme, timeZone: 'utc',
  } as any);
  if (panel.type === 'timeseries') {
    const range = { from: dateTime((now - settings.seconds) * 1000), to: dateTime(now * 1000), raw: { from: 'now-1h', to: 'now' } };
    return <TimeSeries width={w} height={h} frames={data} timeRange={range} timeZone="utc" legend={panel.options.legend} options={panel.options} />;
  }
  if (panel.type === 'table') {
    return <TableNG width={w} height={h} data={data[0]} initialSortBy={panel.options.sortBy} cellHeight={panel.options.cellHeight} structureRev={1} frozenColumns={0} /> as any;
  }
  if (panel.type === 'stat') {
    return <VizRepeater source={displayed()} getValues={displayed} width={w} height={h} orientation={VizOrientation.Auto} itemSpacing={3} renderCounter={0}
      renderValue={({ value, width, height, count }: any) => (
        <BigValue value={{ ...value.display, title: panel.options.textMode === 'value' ? undefined : value.display.title }} width={width} height={height} theme={theme} count={count}
          colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} justifyMode={panel.options.justifyMode} textMode={panel.options.textMode === 'value' ? 'auto' : panel.options.textMode} wideLayout />
      )} />;
  }
  if (panel.type === 'bargauge') {
    return <VizRepeater source={displayed()} getValues={displayed} width={w} height={h} orientation={VizOrientation.Horizontal} itemSpacing={8} renderCounter={0}
      minVizHeight={16} maxVizHeight={40} autoGrid={false} getAlignmentFactors={(values: any[]) => getDisplayValueAlignmentFactors(values)}
      renderValue={({ value, width, height, alignmentFactors }: any) => (
        <BarGauge value={value.display} width={width} height={Math.min(40, height)} theme={theme} field={value.field} display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          orientation={VizOrientation.Horizontal} displayMode={panel.options.displayMode} showUnfilled valueDisplayMode={panel.options.valueMode} namePlacement={panel.options.namePlacement} alignmentFactors={alignmentFactors} itemSpacing={8} lcdCellWidth={8} text={panel.options.text} />
      )} />;
  }
  return <div>not drawn: {panel.type}</div>;
}

function Panel({ panel, settings, style, done }: any) {
  const [frames, setFrames] = React.useState<DataFrame[] | null>(null);
  const [error, setError] = React.useState('');
  React.useEffect(() => {
    Promise.all(panel.targets.map((target: any) => answers(target, panel, settings)))
      .then((all) => transformed(all.flat(), panel))
      .then(setFrames)
      .catch((failure) => { console.error(panel.title, failure); setError(String(failure)); })
      .finally(done);
  }, []);
  return <div style={style}>
    <PanelChrome title={panel.title} description={panel.description} width={style.width} height={style.height} statusMessage={error || undefined}>
      {(w: number, h: number) => error ? <div>{error}</div> : frames ? <Content panel={panel} frames={frames} settings={settings} w={w} h={h} /> : <div />}
    </PanelChrome>
  </div>;
}

function Dashboard({ dashboard, settings }: any) {
  const column = (settings.width - 2 * GAP) / 24;
  // Folded rows are drawn open: what is in them has its places already, below the head.
  const all: any[] = [];
  let shift = 0;
  for (const panel of dashboard.panels) {
    const y = panel.gridPos.y + shift;
    all.push({ ...panel, gridPos: { ...panel.gridPos, y } });
    let end = y;
    for (const inner of panel.panels ?? []) {
      all.push({ ...inner, gridPos: { ...inner.gridPos, y: inner.gridPos.y + shift } });
      end = Math.max(end, inner.gridPos.y + shift + inner.gridPos.h - 1);
    }
    shift += end - y;
  }
  const height = Math.max(...all.map((panel) => panel.gridPos.y + panel.gridPos.h)) * (CELL + GAP) + 60;
  return <div style={{ position: 'relative', width: settings.width, height }}>
    <div style={{ position: 'absolute', left: GAP, top: GAP, display: 'flex', gap: 16, alignItems: 'center' }}>
      <strong style={{ fontSize: 18 }}>{dashboard.title}</strong>
      {dashboard.templating.list.filter((one: any) => settings.shown?.[one.name]).map((one: any) => <span key={one.name}>{one.label}: <b>{settings.shown[one.name]}</b></span>)}
      {dashboard.links.map((link: any) => <span key={link.title} style={{ opacity: 0.75 }}>↗ {link.title}</span>)}
    </div>
    {all.map((panel) => {
      const place = panel.gridPos;
      const style: any = { position: 'absolute', left: GAP + place.x * column, top: 48 + place.y * (CELL + GAP), width: place.w * column - GAP, height: place.h * (CELL + GAP) - GAP };
      return panel.type === 'row'
        ? <div key={panel.id} style={{ ...style, fontWeight: 500, paddingTop: 5 }}>⌄ {panel.title}</div>
        : <Panel key={panel.id} panel={panel} settings={settings} style={style} done={() => {}} />;
    })}
  </div>;
}

(async () => {
  const [dashboard, settings] = await Promise.all(['dashboard.json', 'settings.json'].map(async (name) => (await fetch(name)).json()));
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      {GlobalStyles ? <GlobalStyles isExtensionFrameworkEnabled={false} /> : null}
      <div style={{ background: theme.colors.background.canvas, color: theme.colors.text.primary, fontFamily: 'Inter, Roboto, sans-serif', fontSize: 14, minHeight: '100vh' }}>
        <Dashboard dashboard={dashboard} settings={settings} />
      </div>
    </ThemeContext.Provider>
  );
})();
