// SPDX-License-Identifier: Apache-2.0
// Draws the report from the JSON in #data. Every figure shown is in that JSON or computed from it here
// (cost with another price). Texts go in as text, never as markup.
'use strict';
(() => {
const report = JSON.parse(document.getElementById('data').textContent);
const main = document.getElementById('main');

// ---- small pieces -------------------------------------------------------------------------------
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (key in node && key !== 'style' && key !== 'list') node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined));
  return node;
}
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function num(value, digits) {
  if (value === null || value === undefined || !isFinite(value)) return '–';
  if (digits === undefined && Number.isInteger(value)) digits = 0;
  if (digits === undefined) {
    const size = Math.abs(value);
    digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  }
  return value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
}
const percent = (share, digits = 1) => num(100 * share, digits) + ' %';
const contents = [];
function section(id, title, note) {
  const box = el('section', {id}, el('h2', {}, title), note ? el('p', {className: 'note'}, note) : null);
  main.append(box);
  contents.push([id, title]);
  return box;
}

// head: [{text, left}] or strings; rows: arrays of cells: text, number or {text, value, className}.
function table(head, rows, caption) {
  const body = el('tbody');
  const cellValue = cell => cell !== null && typeof cell === 'object' ? cell.value ?? cell.text : cell;
  const fill = ordered => body.replaceChildren(...ordered.map(row => el('tr', {}, row.map((cell, i) => {
    const shown = cell !== null && typeof cell === 'object' ? cell : {text: cell};
    const text = typeof shown.text === 'number' ? num(shown.text) : shown.text ?? '–';
    const left = typeof head[i] === 'object' && head[i].left ? ' text' : '';
    return el('td', {className: (shown.className || '') + left}, text);
  }))));
  fill(rows);
  const headers = head.map((column, i) => {
    const text = typeof column === 'object' ? column.text : column;
    const button = el('button', {type: 'button', title: 'Sort'}, text);
    const th = el('th', {scope: 'col', className: column.left ? 'text' : ''}, button);
    button.addEventListener('click', () => {
      const down = th.getAttribute('aria-sort') === 'ascending';
      headers.forEach(other => other.removeAttribute('aria-sort'));
      th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      fill([...rows].sort((a, b) => {
        const x = cellValue(a[i]), y = cellValue(b[i]);
        const order = typeof x === 'number' && typeof y === 'number' ? x - y
          : String(x).localeCompare(String(y), 'en', {numeric: true});
        return down ? -order : order;
      }));
    });
    return th;
  });
  return el('div', {className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': caption || 'Table'},
    el('table', {}, caption ? el('caption', {className: 'note', style: 'text-align:left'}, caption) : null,
      el('thead', {}, el('tr', {}, headers)), body));
}
function facts(pairs) {
  return el('dl', {}, pairs.filter(([, value]) => value !== '' && value !== undefined && value !== null)
    .flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, String(value))]));
}
function folded(title, inside) { return el('details', {}, el('summary', {}, title), inside); }

// ---- charts -------------------------------------------------------------------------------------
const charts = [];
// Draws the 95 % interval of each bar or point that has `low` and `high`.
const whiskers = {
  id: 'whiskers',
  afterDatasetsDraw(chart) {
    const context = chart.ctx;
    chart.data.datasets.forEach((set, s) => {
      if (!set.intervals || !chart.isDatasetVisible(s)) return;
      chart.getDatasetMeta(s).data.forEach((point, i) => {
        const interval = set.intervals[i];
        if (!interval) return;
        const flat = chart.options.indexAxis === 'y';
        const scale = chart.scales[flat ? 'x' : 'y'];
        const a = scale.getPixelForValue(interval[0]), b = scale.getPixelForValue(interval[1]);
        context.save();
        context.strokeStyle = css('--ink');
        context.lineWidth = 1.5;
        context.beginPath();
        if (flat) {
          context.moveTo(a, point.y); context.lineTo(b, point.y);
          for (const x of [a, b]) { context.moveTo(x, point.y - 4); context.lineTo(x, point.y + 4); }
        } else {
          context.moveTo(point.x, a); context.lineTo(point.x, b);
          for (const y of [a, b]) { context.moveTo(point.x - 4, y); context.lineTo(point.x + 4, y); }
        }
        context.stroke();
        context.restore();
      });
    });
  },
};
function chart(label, make, className) {
  const canvas = el('canvas', {role: 'img', 'aria-label': label + '. The table beside it has the figures.'});
  const box = el('div', {className: 'chart ' + (className || '')}, canvas);
  charts.push(() => {
    const old = Chart.getChart(canvas);
    if (old) old.destroy();
    Chart.defaults.color = css('--soft');
    Chart.defaults.borderColor = css('--grid');
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.animation = false;
    Chart.defaults.maintainAspectRatio = false;
    new Chart(canvas, {plugins: [whiskers], ...make()});
  });
  return box;
}
const redraw = () => charts.forEach(draw => draw());
function axis(title, more) { return {title: {display: true, text: title}, ...more}; }
const plain = {callback: value => num(value, Math.abs(value) >= 10 || value === 0 ? 0 : Math.abs(value) >= 1 ? 1 : 2)};
// A logarithmic axis with labels where they can be read: at `at`, or at 1, 2 and 5 times powers of ten.
function logAxis(title, at, more) {
  return axis(title, {type: 'logarithmic', ticks: plain, afterBuildTicks: scale => {
    const kept = at || scale.ticks.map(t => t.value).filter(v => [1, 2, 5].includes(Number(v.toExponential().split('e')[0])));
    scale.ticks = kept.map(value => ({value}));
  }, ...more});
}
const highest = intervals => Math.max(0, ...intervals.filter(Boolean).map(i => i[1])) * 1.02;
function line(label, xs, ys, color, more) {
  return {label, data: xs.map((x, i) => ({x, y: ys[i]})), borderColor: css(color),
    backgroundColor: css(color), borderWidth: 2, pointRadius: xs.length > 60 ? 0 : 2.5, ...more};
}

// ---- the parts ----------------------------------------------------------------------------------
const results = report.results || [];
const scenarios = report.scenarios || [];
const peers = report.peers && report.peers.results ? report.peers.results : [];
const best = kind => results.filter(r => r.kind === kind)
  .reduce((most, r) => !most || r.images_per_second > most.images_per_second ? r : most, null);
const bestRate = () => (best('real') || best('device') || {}).images_per_second || 0;
let pricePerHour = report.cost ? report.cost.dollars_per_hour : 0;
const priced = [];  // functions that show what depends on the price

function heading() {
  const model = report.model || {}, device = report.device || {}, machine = report.machine || {};
  const chips = [];
  const chip = (text, good) => chips.push(el('li', {className: 'chip ' + (good ? 'good' : 'bad')}, text));
  if (report.partial) chip('PARTIAL: interrupted', false);
  if (report.stability) chip(report.stability.verdict, report.stability.verdict === 'STABLE');
  if (report.verified) {
    chip(report.verified.exact ? `verified: the same bytes as ${report.verified.device}`
      : `verified within ${report.verified.tolerance} of ${report.verified.device}`, true);
  }
  const invalid = scenarios.filter(s => s.verdict !== 'VALID').length;
  if (scenarios.length) chip(invalid ? `${invalid} of ${scenarios.length} scenarios INVALID` : 'scenarios VALID', !invalid);
  document.getElementById('top').append(
    el('h1', {}, `${model.name || 'Pronghorn'} on ${device.description || device.name || machine.cpu || ''}`),
    el('p', {className: 'lead'}, `${model.quantized ? 'INT8' : 'float32'}, device ${device.name || ''}` +
      `${device.isa ? ' (' + device.isa + ')' : ''}, ${device.threads || ''} threads, ${machine.time || ''}`),
    el('ul', {className: 'chips'}, chips),
    ...(report.stability && report.stability.reasons.length
      ? [el('ul', {className: 'reasons'}, report.stability.reasons.slice(0, 3).map(r => el('li', {}, r))),
        report.stability.reasons.length > 3 ? folded(`${report.stability.reasons.length - 3} more reasons`,
          el('ul', {className: 'reasons'}, report.stability.reasons.slice(3).map(r => el('li', {}, r)))) : ''] : []));
}

function tiles() {
  const box = el('div', {className: 'tiles'});
  const tile = (name, value, unit, more) => box.append(el('div', {className: 'tile'},
    el('div', {className: 'name'}, name), el('div', {className: 'value'}, value, el('small', {}, unit)),
    el('div', {className: 'more'}, more)));
  for (const [kind, name] of [['real', 'Real throughput'], ['device', 'Device throughput']]) {
    const r = best(kind);
    if (!r) continue;
    const interval = r.interval_95 ? `95 %: ${num(r.interval_95[0], 1)} to ${num(r.interval_95[1], 1)}; ` : '';
    tile(name, num(r.images_per_second, 1), 'images/s', interval + `batch ${r.batch}`);
  }
  const one = results.find(r => r.batch === 1 && r.kind === 'real') || results.find(r => r.batch === 1);
  if (one) tile('One photograph', num(one.latency_ms.p50, 1), 'ms', `p50; p99 ${num(one.latency_ms.p99, 1)} ms (${one.kind})`);
  if (report.accuracy) {
    tile('Accuracy, top-1', percent(report.accuracy.top1, 2), '', `top-5 ${percent(report.accuracy.top5, 2)} of ${num(report.accuracy.images)} images`);
  } else tile('Accuracy', '–', '', 'the images carry no labels');
  const energy = report.energy && report.energy.real && report.energy.real.total;
  if (energy) tile('Energy, component', num(energy.images_per_second_per_watt, 2), 'fps/W', `${num(energy.joules_an_image)} J an image`);
  else tile('Energy', '–', '', 'no counter on this machine');
  const cost = el('div', {className: 'tile'}, el('div', {className: 'name'}, 'Cost of a million images'));
  const value = el('div', {className: 'value', id: 'tile-cost'});
  const more = el('div', {className: 'more'});
  cost.append(value, more);
  priced.push(() => {
    const rate = bestRate();
    const ok = pricePerHour > 0 && rate > 0;
    value.textContent = ok ? '$' + num(1e6 / (3600 * rate) * pricePerHour, 2) : '–';
    more.textContent = ok ? `at $${num(pricePerHour, 3)} an hour` : 'type a price under Cost';
  });
  box.append(cost);
  main.append(box);
}

function throughput() {
  if (!results.length) return;
  const box = section('throughput', 'Throughput by batch',
    'real: JPEG bytes to labels (read, decode, resize, infer, top-5). device: tensors in memory to scores. Whiskers: 95 % interval of the median.');
  const batches = [...new Set(results.map(r => r.batch))].sort((a, b) => a - b);
  const of = (kind, batch) => results.find(r => r.kind === kind && r.batch === batch);
  box.append(el('div', {className: 'pair'}, chart('Images a second by batch', () => ({
    type: 'bar',
    data: {labels: batches, datasets: ['real', 'device'].filter(k => best(k)).map(kind => ({
      label: kind, data: batches.map(b => of(kind, b) ? of(kind, b).images_per_second : null),
      intervals: batches.map(b => of(kind, b) && of(kind, b).interval_95), backgroundColor: css('--' + kind)}))},
    options: {scales: {x: axis('batch'), y: axis('images/s', {beginAtZero: true, ticks: plain, suggestedMax: highest(results.map(r => r.interval_95))})}},
  })), chart('Median latency of a batch', () => ({
    type: 'line',
    data: {datasets: ['real', 'device'].filter(k => best(k)).map(kind => {
      const rows = results.filter(r => r.kind === kind).sort((a, b) => a.batch - b.batch);
      return line(kind, rows.map(r => r.batch), rows.map(r => r.latency_ms.p50), '--' + kind);
    })},
    options: {scales: {x: logAxis('batch', batches), y: logAxis('ms, p50 of a whole batch')}},
  }))));
  box.append(table([{text: 'kind', left: true}, 'batch', 'images/s', '95 % low', '95 % high', 'best', 'repeats differ', 'p50 ms', 'p90', 'p95', 'p99', 'p99.9', 'max'],
    results.map(r => {
      const l = r.latency_ms, rates = r.repeat_images_per_second || [];
      const spread = rates.length > 1 ? Math.max(...rates) / Math.min(...rates) - 1 : null;
      const i = r.interval_95 || [null, null];
      return [r.kind, r.batch, r.images_per_second, i[0], i[1], r.images_per_second_best,
        spread === null ? '–' : {text: percent(spread), value: spread, className: spread > 0.03 ? 'no' : ''},
        l.p50, l.p90, l.p95, l.p99, l.p999, l.max];
    }), 'Every measurement'));
  const staged = results.filter(r => r.stages && r.stages.images);
  if (!staged.length) return;
  box.append(el('h3', {}, 'Where the time of a photograph goes'),
    el('p', {className: 'note'}, 'Processor time of each stage, summed over threads. ' + (report.layers && report.layers.copy_seconds_an_image
      ? `Copies to and from the device are inside infer: ${num(1e6 * report.layers.copy_seconds_an_image, 2)} µs an image at batch ${report.layers.batch}, where nothing overlaps them (Layers).`
      : 'Copying is to and from the memory of a device; a processor has none to make.')));
  const shown = {top5: 'top-5', engine: 'wait for the JPEG engine', lane: 'wait for copies and resize'};
  const names = [['read', '--third'], ['decode', '--device'], ['resize', '--fourth'], ['copy', '--soft'], ['infer', '--real'], ['top5', '--accent'], ['engine', '--ink'], ['lane', '--line']]
    .filter(([stage]) => staged.some(r => typeof r.stages[stage + '_seconds'] === 'number'));
  const ms = (r, stage) => 1e3 * r.stages[stage + '_seconds'] / r.stages.images;
  const wide = el('div', {className: 'pair'});
  wide.append(chart('Time of each stage', () => ({
    type: 'bar',
    data: {labels: staged.map(r => 'batch ' + r.batch), datasets: names.map(([stage, color]) => ({
      label: shown[stage] || stage, data: staged.map(r => ms(r, stage)), backgroundColor: css(color)}))},
    options: {indexAxis: 'y', scales: {x: axis('ms an image', {stacked: true, ticks: plain}), y: {stacked: true}}},
  })), table(['batch', ...names.flatMap(([stage]) => [(shown[stage] || stage) + ' ms', 'share']), 'of ideal'], staged.map(r => {
    const sum = names.reduce((all, [stage]) => all + (ms(r, stage) || 0), 0);
    return [r.batch, ...names.flatMap(([stage]) => [ms(r, stage), {text: percent(ms(r, stage) / sum), value: ms(r, stage) / sum}]),
      {text: num(r.of_ideal, 3), value: r.of_ideal}];
  }), 'Stages of one photograph'));
  box.append(wide);
  const limited = results.filter(r => r.decode_limit);
  if (!limited.length) return;
  box.append(table(['batch', 'real images/s', 'decoders alone', 'reached', 'by the engine', 'returned by it'], limited.map(r => {
    const engine = r.stages.engine_images / r.stages.images;
    return [r.batch, r.images_per_second, r.decode_limit.images_per_second,
      {text: percent(r.decode_limit.reached), value: r.decode_limit.reached},
      {text: percent(engine), value: engine}, r.stages.engine_returned];
  }), 'Real throughput and the decode limit'));
}

function scenarioParts() {
  if (!scenarios.length) return;
  const box = section('scenarios', 'Scenarios', 'MLPerf-like, not verified by MLCommons. VALID needs the minimum time and, with 99 % confidence, the judged percentile.');
  box.append(table([{text: 'scenario', left: true}, {text: 'kind', left: true}, 'result', {text: 'unit', left: true}, {text: 'what', left: true}, 'queries', 'seconds', {text: 'verdict', left: true}, {text: 'why', left: true}],
    scenarios.map(s => [s.scenario, s.kind, s.metric.value, s.metric.unit, s.metric.name, s.queries, s.seconds,
      {text: s.verdict, className: s.verdict === 'VALID' ? 'yes' : 'no'}, {text: s.reasons.join('; ') || '', className: 'wrap'}]), 'Verdicts'));
  const shaped = [...scenarios, ...(report.concurrency || []), ...(report.trace ? [report.trace] : [])].filter(s => s.histogram);
  if (!shaped.length) return;
  const name = s => `${s.scenario}, ${s.kind}` + (s.settings.concurrency ? `, ${s.settings.concurrency} streams` : '');
  const choose = el('select', {id: 'latency-of'}, shaped.map((s, i) => el('option', {value: i}, name(s))));
  const chosen = () => shaped[Number(choose.value) || 0];
  box.append(el('h3', {}, 'Latency'), el('p', {}, el('label', {htmlFor: 'latency-of'}, 'Show'), choose));
  const grid = el('div', {className: 'pair'});
  grid.append(chart('Histogram of latency', () => {
    const h = chosen().histogram;
    return {type: 'bar', data: {labels: h.counts.map((_, i) => num(h.edges_ms[i], 2)),
      datasets: [{label: 'queries', data: h.counts, backgroundColor: css('--real'), barPercentage: 1, categoryPercentage: 0.96}]},
      options: {plugins: {legend: {display: false}}, scales: {x: axis('ms (the last bin holds the tail)', {ticks: {maxTicksLimit: 10}}), y: axis('queries')}}};
  }), chart('Cumulative distribution of latency', () => {
    const q = chosen().quantiles_ms;
    return {type: 'line', data: {datasets: [line('share of queries', q, q.map((_, i) => i), '--device', {pointRadius: 0, stepped: true})]},
      options: {plugins: {legend: {display: false}}, scales: {x: axis('ms', {type: 'linear', ticks: plain}), y: axis('percent of queries', {min: 0, max: 100})}}};
  }), chart('Latency and rate over time', () => {
    const s = chosen().series, xs = s.p50_ms.map((_, i) => (i + 0.5) * s.slot_seconds);
    return {type: 'line', data: {datasets: [line('p50 ms', xs, s.p50_ms, '--device'), line('max ms', xs, s.max_ms, '--third'),
      line('samples/s', xs, s.samples_per_second, '--real', {yAxisID: 'rate'})]},
      options: {scales: {x: axis('seconds', {type: 'linear'}), y: axis('ms', {beginAtZero: true}), rate: axis('samples/s', {position: 'right', beginAtZero: true, grid: {display: false}})}}};
  }));
  grid.append(table([{text: 'percentiles, ms', left: true}, 'p50', 'p90', 'p95', 'p99', 'p99.9', 'max', 'mean'],
    shaped.map(s => [name(s), s.latency_ms.p50, s.latency_ms.p90, s.latency_ms.p95, s.latency_ms.p99, s.latency_ms.p999, s.latency_ms.max, s.latency_ms.mean]), 'Percentiles'));
  box.append(grid);
  choose.addEventListener('change', redraw);
}

function curves() {
  const rates = report.rates || [];
  const searched = scenarios.filter(s => s.search && s.search.length);
  if (!rates.length && !searched.length && !report.concurrency && !report.threads && !report.devices) return;
  const box = section('load', 'Under load');
  if (rates.length || searched.length) {
    const knee = rates.find(r => r.knee);
    box.append(el('h3', {}, 'Throughput against latency, open loop'),
      el('p', {className: 'note'}, 'Requests arrive at Poisson times whether or not earlier ones are done. ' + (knee
        ? `The knee, where throughput divided by mean latency is greatest, is at ${num(knee.rate, 1)} requests/s.` : 'Points of the search for the Server scenario.')));
    box.append(chart('Latency by completed rate', () => ({
      type: 'line', data: {datasets: [
        ...(rates.length ? [line('p50', rates.map(r => r.samples_per_second), rates.map(r => r.latency_ms.p50), '--device'),
          line('p99', rates.map(r => r.samples_per_second), rates.map(r => r.latency_ms.p99), '--real', {
            pointRadius: rates.map(r => r.knee ? 8 : 3), pointStyle: rates.map(r => r.knee ? 'rectRot' : 'circle')})] : []),
        ...searched.map((s, i) => line(`Server search, ${s.kind}: p99`, s.search.map(t => t.completed), s.search.map(t => t.p99_ms), i ? '--fourth' : '--third', {showLine: false, pointRadius: 4}))]},
      options: {scales: {x: axis('requests completed a second', {type: 'linear', beginAtZero: true}), y: logAxis('ms')}},
    }), 'tall'));
    const rows = [...rates.map(r => ['rate sweep', r.rate, r.samples_per_second, r.latency_ms.p50, r.latency_ms.p99, r.knee ? 'knee' : '']),
      ...searched.flatMap(s => s.search.map(t => ['search, ' + s.kind, t.rate, t.completed, t.p50_ms, t.p99_ms, t.kept ? 'kept the bound' : 'over the bound']))];
    box.append(folded('Figures', table([{text: 'run', left: true}, 'asked/s', 'completed/s', 'p50 ms', 'p99 ms', {text: '', left: true}], rows, 'Open loop')));
  }
  const pair = el('div', {className: 'pair'});
  if (report.concurrency) {
    const rows = report.concurrency;
    pair.append(el('div', {}, el('h3', {}, 'Streams at once'), chart('Throughput by concurrency', () => ({
      type: 'line', data: {datasets: [line('images/s', rows.map(r => r.concurrency), rows.map(r => r.samples_per_second), '--real'),
        line('p99 ms', rows.map(r => r.concurrency), rows.map(r => r.latency_ms.p99), '--device', {yAxisID: 'late'})]},
      options: {scales: {x: logAxis('streams', rows.map(r => r.concurrency)), y: axis('images/s', {beginAtZero: true}), late: axis('p99 ms', {position: 'right', beginAtZero: true, grid: {display: false}})}},
    })), table(['streams', 'images/s', 'p50 ms', 'p99 ms'], rows.map(r => [r.concurrency, r.samples_per_second, r.latency_ms.p50, r.latency_ms.p99]), 'Concurrency')));
  }
  if (report.threads) {
    const rows = report.threads;
    pair.append(el('div', {}, el('h3', {}, 'Threads'), chart('Throughput by threads', () => ({
      type: 'line', data: {datasets: [line('real', rows.map(r => r.threads), rows.map(r => r.real_images_per_second), '--real'),
        line('device', rows.map(r => r.threads), rows.map(r => r.device_images_per_second), '--device'),
        line('ideal', rows.map(r => r.threads), rows.map(r => rows[0].real_images_per_second / rows[0].threads * r.threads), '--soft', {borderDash: [5, 5], pointRadius: 0})]},
      options: {scales: {x: axis('threads', {type: 'linear', ticks: {precision: 0}}), y: axis('images/s', {beginAtZero: true})}},
    })), table(['threads', 'real images/s', 'device images/s', 'efficiency'], rows.map(r => [r.threads, r.real_images_per_second, r.device_images_per_second, {text: percent(r.efficiency), value: r.efficiency}]), 'Scaling')));
  }
  if (report.devices) {
    const rows = report.devices.rows;
    pair.append(el('div', {}, el('h3', {}, 'Devices'), report.devices.note ? el('p', {className: 'note'}, report.devices.note) : '',
      rows.length > 1 ? chart('Throughput by devices', () => ({type: 'bar', data: {labels: rows.map(r => r.device), datasets: [
        {label: 'real', data: rows.map(r => r.real_images_per_second), backgroundColor: css('--real')},
        {label: 'device', data: rows.map(r => r.device_images_per_second), backgroundColor: css('--device')}]},
        options: {scales: {y: axis('images/s', {beginAtZero: true})}}})) : '',
      table([{text: 'device', left: true}, 'cards', 'batch', 'real images/s', 'device images/s', 'efficiency'],
        rows.map(r => [r.device, r.cards, r.batch, r.real_images_per_second, r.device_images_per_second, {text: percent(r.efficiency), value: r.efficiency}]), 'Scaling over devices')));
  }
  box.append(pair);
}

function time() {
  const warm = results.filter(r => r.warmup_ms && r.warmup_ms.length > 1);
  const sustained = report.sustained && !report.sustained.refused ? report.sustained : null;
  const turns = results.filter(r => r.round_series && r.round_series.length);
  if (!warm.length && !sustained && !report.cold_start && !turns.length) return;
  const box = section('time', 'Over time');
  const pair = el('div', {className: 'pair'});
  if (warm.length) {
    const colors = ['--real', '--device', '--third', '--fourth'];
    pair.append(el('div', {}, el('h3', {}, 'Warm-up'), el('p', {className: 'note'}, 'Each batch from the first one on, cold memory included; not part of the throughput above.'),
      chart('Time of the first batches', () => ({type: 'line', data: {datasets: warm.map((r, i) =>
        line('batch ' + r.batch, r.warmup_ms.map((_, k) => k + 1), r.warmup_ms.map(t => t / r.warmup_ms[r.warmup_ms.length - 1]), colors[i % 4]))},
      options: {scales: {x: axis('batch number', {type: 'linear', ticks: {precision: 0}}), y: axis('time, 1 = the last shown')}}})),
      folded('Figures', table(['batch', 'first ms', 'second ms', 'last shown ms'], warm.map(r => [r.batch, r.warmup_ms[0], r.warmup_ms[1], r.warmup_ms[r.warmup_ms.length - 1]]), 'Warm-up'))));
  }
  if (sustained) {
    const xs = sustained.series_images_per_second.map((_, i) => (i + 0.5) * sustained.slot_seconds);
    pair.append(el('div', {}, el('h3', {}, 'Sustained'), el('p', {className: 'note'},
      `${num(sustained.images_per_second, 1)} images/s over ${num(sustained.seconds)} s; drift ${sustained.drift === null ? '–' : percent(sustained.drift)}, variation ${percent(sustained.coefficient_of_variation)}. ${sustained.flags.join('; ')}`),
      chart('Throughput over time', () => ({type: 'line', data: {datasets: [line('images/s', xs, sustained.series_images_per_second, '--real'),
        line('other programs, % of processors', sustained.moments.map(m => m.seconds), sustained.moments.map(m => 100 * m.other_share), '--third', {yAxisID: 'share', pointRadius: 0}),
        line('stolen, %', sustained.moments.map(m => m.seconds), sustained.moments.map(m => 100 * m.steal_share), '--device', {yAxisID: 'share', pointRadius: 0})]},
      options: {scales: {x: axis('seconds', {type: 'linear'}), y: axis('images/s', {beginAtZero: true}), share: axis('%', {position: 'right', min: 0, suggestedMax: 20, grid: {display: false}})}}})),
      folded('Figures', table(['seconds', 'MHz', 'stolen %', 'others %'], sustained.moments.map(m => [m.seconds, m.mhz, 100 * m.steal_share, 100 * m.other_share]), 'Every second'))));
  }
  if (turns.length) {
    const name = r => r.kind + ', batch ' + r.batch, colors = ['--real', '--device', '--third', '--fourth'];
    pair.append(el('div', {}, el('h3', {}, 'Rounds'), el('p', {className: 'note'}, 'All figures take turns, round by round. A round that the machine disturbed (crosses) is set aside and made again; those at the end show whether the figures still hold. “line, ns”: what a cache line takes from thread to thread, beside the round.'),
      chart('Rate of each round', () => ({type: 'line', data: {datasets: turns.map((r, i) =>
        line(name(r), r.round_series.map((_, k) => k + 1), r.round_series.map(t => t.images_per_second / r.images_per_second), colors[i % 4],
          {pointStyle: r.round_series.map(t => t.disturbed ? 'crossRot' : 'circle'), pointRadius: r.round_series.map(t => t.disturbed ? 6 : 2.5)}))},
      options: {scales: {x: axis('round', {type: 'linear', ticks: {precision: 0}}), y: axis('rate, 1 = the figure')}}})),
      folded('Figures', table([{text: 'figure', left: true}, 'round', 'images/s', 'seconds', 'processor speed', 'line, ns', 'stolen %', 'others %', {text: 'set aside, because', left: true}],
        turns.flatMap(r => r.round_series.map((t, k) => [name(r), k + 1, t.images_per_second, t.seconds, t.processor_speed, t.handover_ns, 100 * t.steal_share, 100 * t.other_share, {text: t.disturbed, className: 'wrap'}])), 'Rounds'))));
  }
  box.append(pair);
  if (report.sustained && report.sustained.refused) {
    box.append(el('h3', {}, 'Sustained'), el('p', {}, 'Refused: ' + report.sustained.refused));
  }
  if (report.cold_start) {
    box.append(el('h3', {}, 'Cold start'), el('p', {}, `${num(report.cold_start.median_seconds, 3)} s, median of ${report.cold_start.seconds.length}: ${report.cold_start.what}.`));
  }
}

function layers() {
  const data = report.layers;
  if (!data) return;
  const ceiling = report.ceiling || {};
  const box = section('layers', 'Layers', data.missing || `Batch ${data.batch}, ${data.runs} runs. Bytes are weights and output, a lower bound of the traffic. ` +
    (ceiling.gmac_per_second ? `The ceiling, ${num(ceiling.gmac_per_second, 1)} GMAC/s, is what ${ceiling.threads} threads multiply from registers, measured in this run${ceiling.share_reached ? `; the best device throughput is ${percent(ceiling.share_reached)} of it` : ''}.`
      : ceiling.missing || ''));
  if (data.missing) return;
  const rows = data.layers.filter(l => l.seconds_an_image > 0);
  const sum = rows.reduce((s, l) => s + l.seconds_an_image, 0);
  const counted = rows.filter(l => l.macs > 0);
  if (counted.length) {
    box.append(chart('Roofline: products a second by intensity', () => {
      const xs = counted.map(l => l.macs_per_byte), low = Math.min(...xs) / 1.5, high = Math.max(...xs) * 1.5;
      const sets = [{label: 'layers (size: time)', data: counted.map(l => ({x: l.macs_per_byte, y: l.gmac_per_second})), backgroundColor: css('--real'),
        pointRadius: counted.map(l => 3 + 14 * Math.sqrt(l.seconds_an_image / sum))}];
      if (ceiling.gmac_per_second) {
        sets.push({type: 'line', ...line('ceiling', [low, high], [ceiling.gmac_per_second, ceiling.gmac_per_second], '--soft', {borderDash: [6, 4], pointRadius: 0})});
      }
      return {type: 'scatter', data: {datasets: sets}, options: {
        plugins: {tooltip: {callbacks: {label: c => c.datasetIndex ? 'ceiling' : `${counted[c.dataIndex].node}: ${num(c.parsed.y, 1)} GMAC/s`}}},
        scales: {x: logAxis('products a byte', null, {min: low, max: high}), y: logAxis('GMAC/s')}}};
    }, 'tall'));
  }
  box.append(folded(`All ${rows.length} layers`, table([{text: 'layer', left: true}, {text: 'op', left: true}, {text: 'kernel', left: true}, 'µs an image', 'share', 'MMAC', 'GMAC/s', 'products/byte'],
    rows.map(l => [l.node, l.op || '', l.kernel, 1e6 * l.seconds_an_image, {text: percent(l.seconds_an_image / sum), value: l.seconds_an_image / sum},
      l.macs ? l.macs / 1e6 : null, l.macs ? l.gmac_per_second : null, l.macs ? l.macs_per_byte : null]), 'Layers')));
}

function energy() {
  const data = report.energy;
  if (!data) return;
  const box = section('energy', 'Energy', 'Component counters (a processor package, a card), not the wall: power supply, fans and the rest of the machine are not in them.');
  const missing = (data.real && data.real.missing) || [];
  if (missing.length) box.append(el('ul', {}, missing.map(m => el('li', {}, m))));
  const rows = [], long = report.sustained && report.sustained.energy;
  const kinds = {real: data.real, device: data.device, sustained: long};
  for (const [kind, measured] of Object.entries(kinds)) {
    if (!measured || !measured.total) continue;
    for (const m of [...measured.meters, {name: 'all', source: '', ...measured.total}]) {
      rows.push([kind, m.name, m.source, m.watts, m.idle_watts, m.joules_an_image, m.joules_an_image_idle_subtracted, m.images_per_second_per_watt, m.images_per_second_per_watt_idle_subtracted]);
    }
  }
  if (!rows.length) { box.append(el('p', {}, 'No figure: nothing is guessed.')); return; }
  const longest = long || data.real || data.device;
  box.append(el('p', {className: 'note'}, `Power while ${num(longest.images)} photographs or tensors went through in ${num(longest.seconds, 1)} s${long ? ' (the sustained run)' : ''}.`),
  chart('Power over time', () => ({type: 'line', data: {datasets: longest.meters.map((m, i) =>
    line(m.name, m.series_watts.map(p => p[0]), m.series_watts.map(p => p[1]), ['--real', '--device', '--third', '--fourth'][i % 4]))},
    options: {scales: {x: axis('seconds', {type: 'linear'}), y: axis('watts', {beginAtZero: true})}}})),
  table([{text: 'kind', left: true}, {text: 'meter', left: true}, {text: 'source', left: true}, 'watts', 'idle watts', 'J an image', 'idle subtracted', 'fps/W', 'idle subtracted'], rows, 'Energy'));
}

function cost() {
  const given = report.cost;
  const box = section('cost', 'Cost');
  const field = el('input', {type: 'number', id: 'price', min: '0.0001', step: 'any', value: pricePerHour || '', 'aria-describedby': 'price-note'});
  box.append(el('p', {}, el('label', {htmlFor: 'price'}, 'Dollars an hour'), field),
    el('p', {className: 'note', id: 'price-note'}, given ? `${given.name}: ${given.how}; pays for the ${given.for}. ${given.date ? given.date + ', ' : ''}${given.source || 'from the command line'}`
      : 'No price was given with --price: type one.'));
  const out = el('div', {id: 'cost-table'});
  box.append(out);
  const rows = [...results.map(r => [`pronghorn, ${r.kind}, batch ${r.batch}`, r.images_per_second]),
    ...peers.filter(p => p.system !== 'pronghorn').map(p => [`${p.system}${p.precision ? ' ' + p.precision : ''}, device, batch ${p.batch}`, p.images_per_second])];
  priced.push(() => out.replaceChildren(table([{text: 'what', left: true}, 'images/s', 'fps for $1/h', 'images a dollar', 'dollars a million images'],
    rows.map(([what, rate]) => [what, rate, pricePerHour ? rate / pricePerHour : null, pricePerHour ? 3600 * rate / pricePerHour : null,
      pricePerHour ? {text: '$' + num(1e6 * pricePerHour / (3600 * rate), 3), value: 1e6 * pricePerHour / (3600 * rate)} : null]), 'Cost at this price')));
  field.addEventListener('input', () => {
    const value = Number(field.value);
    pricePerHour = field.value !== '' && isFinite(value) && value > 0 ? value : 0;
    priced.forEach(show => show());
  });
}

function peerParts() {
  const data = report.peers;
  if (!data) return;
  const box = section('peers', 'Peers in the same run', 'Alternating rounds in one process on the same images; each with its best settings. The ratio is Pronghorn’s rate to the peer’s, round by round. Whiskers: slowest and fastest round.');
  const name = p => p.system + (p.precision ? ' ' + p.precision : '');
  for (const batch of [...new Set(peers.map(p => p.batch))]) {
    const rows = peers.filter(p => p.batch === batch).sort((a, b) => b.images_per_second - a.images_per_second);
    const range = p => p.round_medians_ms ? [1e3 * batch / Math.max(...p.round_medians_ms), 1e3 * batch / Math.min(...p.round_medians_ms)] : null;
    box.append(el('h3', {}, `Batch ${batch}, device throughput`), chart(`Peers at batch ${batch}`, () => ({
      type: 'bar', data: {labels: rows.map(name), datasets: [{data: rows.map(p => p.images_per_second), intervals: rows.map(range),
        backgroundColor: rows.map(p => css(p.system === 'pronghorn' ? '--real' : '--device'))}]},
      options: {indexAxis: 'y', plugins: {legend: {display: false}}, scales: {x: axis('images/s', {beginAtZero: true, suggestedMax: highest(rows.map(range))})}}})),
    table([{text: 'system', left: true}, {text: 'precision', left: true}, {text: 'version', left: true}, 'images/s', 'slowest', 'fastest', 'Pronghorn’s ratio', 'top-1', 'same first guess'],
      rows.map(p => [p.system, p.precision || '', p.version, p.images_per_second, ...(range(p) || [null, null]),
        p.pronghorn_ratio ? {text: num(p.pronghorn_ratio, 2), value: p.pronghorn_ratio} : '–',
        p.top1 === null || p.top1 === undefined ? '–' : {text: percent(p.top1, 2), value: p.top1},
        p.agreement === null || p.agreement === undefined ? '–' : {text: percent(p.agreement, 1), value: p.agreement}]), `Peers, batch ${batch}`));
  }
  if (peers.some(p => p.top1 !== null && p.top1 !== undefined || p.agreement !== undefined)) {
    const batch = Math.max(...peers.map(p => p.batch)), rows = peers.filter(p => p.batch === batch);
    const labelled = rows.some(p => p.top1 !== null && p.top1 !== undefined);
    box.append(el('h3', {}, 'Precisions: speed against ' + (labelled ? 'accuracy' : 'agreement with Pronghorn’s INT8')),
      chart('Speed against accuracy', () => ({type: 'scatter', data: {datasets: rows.map((p, i) => ({label: name(p), data: [{x: p.images_per_second, y: 100 * (labelled ? p.top1 : p.agreement)}],
        pointRadius: 7, backgroundColor: css(['--real', '--device', '--third', '--fourth', '--soft', '--accent'][i % 6])}))},
      options: {scales: {x: axis(`images/s, batch ${batch}`, {beginAtZero: true}), y: axis(labelled ? 'top-1, %' : 'same first guess, %')}}})));
  }
  if (data.left_out && data.left_out.length) {
    box.append(el('h3', {}, 'Left out'), el('ul', {}, data.left_out.map(l => el('li', {}, `${l.system}: ${l.reason}`))));
  }
}

function failures() {
  const rows = [...scenarios, ...(report.concurrency || []), ...(report.rates || [])].filter(s => s.failures > 0);
  const box = section('failures', 'Failures');
  if (!rows.length) { box.append(el('p', {}, 'No query failed.')); return; }
  box.append(table([{text: 'scenario', left: true}, {text: 'kind', left: true}, 'failed', 'of', {text: 'the first with', left: true}],
    rows.map(s => [s.scenario, s.kind, s.failures, s.queries, {text: s.first_failure, className: 'wrap'}]), 'Failed queries'));
}

function comparison() {
  const data = report.comparison;
  if (!data) return;
  document.getElementById('top').append(el('h1', {}, 'Pronghorn: runs compared'),
    el('p', {className: 'lead'}, 'Changes are against the first run. “the same”: the 95 % intervals of the medians overlap.'));
  const box = section('runs', 'Runs');
  box.append(table([{text: 'run', left: true}, {text: 'file', left: true}, {text: 'machine', left: true}, {text: 'commit', left: true}, {text: 'stability', left: true}, 'top-1'],
    data.runs.map((r, i) => [String(i + 1), r.file, r.machine ? `${r.machine.cpu}, ${r.machine.cores} cores` : '', r.machine ? r.machine.commit : '', r.stability ? r.stability.verdict : '–',
      r.accuracy ? percent(r.accuracy.top1, 2) : '–']), 'Runs'), ...(data.notes || []).map(note => el('p', {className: 'note'}, note + '.')));
  const figures = section('changes', 'Throughput');
  const head = [{text: 'what', left: true}, '1, images/s', '95 %'];
  data.runs.slice(1).forEach((_, i) => head.push(`${i + 2}, images/s`, '95 %', 'change', {text: 'verdict', left: true}));
  const range = v => v && v.interval_95 ? `${num(v.interval_95[0], 1)} – ${num(v.interval_95[1], 1)}` : '–';
  figures.append(chart('Runs side by side', () => ({type: 'bar', data: {labels: data.rows.map(r => r.what),
    datasets: data.runs.map((run, i) => ({label: `${i + 1}: ${run.file}`, data: data.rows.map(r => r.values[i] ? r.values[i].value : null),
      intervals: data.rows.map(r => r.values[i] && r.values[i].interval_95), backgroundColor: css(['--device', '--real', '--third', '--fourth'][i % 4])}))},
    options: {scales: {y: axis('images/s', {beginAtZero: true})}}}), 'tall'),
  table(head, data.rows.map(row => [row.what, row.values[0] ? row.values[0].value : null, range(row.values[0]),
    ...row.values.slice(1).flatMap(v => v ? [v.value, range(v), {text: (v.change > 0 ? '+' : '') + percent(v.change), value: v.change},
      {text: v.verdict, className: v.verdict === 'faster' ? 'yes' : v.verdict === 'slower' ? 'no' : ''}] : [null, '–', '–', ''])]), 'Regression table'));
}

// Machine learning: `report.task` as bench/peers/ml_compare.py writes it.
function learning() {
  const task = report.task, machine = report.machine || {}, device = report.device || {};
  document.getElementById('top').append(el('h1', {}, `${task.task}: ${task.set}, ${num(task.rows)} x ${task.columns} ${task.dtype}`),
    el('p', {className: 'lead'}, `${device.description || machine.cpu}, ${device.isa}, ${device.threads} threads, ${machine.time || ''}`),
    el('ul', {className: 'chips'}, el('li', {className: 'chip good'}, 'verified in this run'),
      (task.not_as_good || []).map(name => el('li', {className: 'chip bad'}, `${name}: not as good as the bar, not timed`))));
  const timings = Object.entries(task).filter(([, entry]) => entry && entry.pronghorn && entry.pronghorn.seconds_min !== undefined);
  const times = section('times', 'Times', 'Whole calls, in turn in one process on the same arrays. The ratio is the peer’s median to Pronghorn’s. Whiskers: fastest and slowest call.');
  for (const [what, entry] of timings) {
    const names = Object.keys(entry), title = what.replaceAll('_', ' ');
    const ranges = names.map(n => [1e3 * Math.min(...entry[n].seconds), 1e3 * Math.max(...entry[n].seconds)]);
    times.append(el('h3', {}, title), chart(title, () => ({type: 'bar', data: {labels: names, datasets: [{data: names.map(n => 1e3 * entry[n].seconds_median), intervals: ranges,
      backgroundColor: names.map(n => css(n === 'pronghorn' ? '--real' : '--device'))}]},
      options: {indexAxis: 'y', plugins: {legend: {display: false}}, scales: {x: axis('ms', {beginAtZero: true, suggestedMax: highest(ranges)})}}})),
    table([{text: 'system', left: true}, 'median, ms', 'fastest, ms', 'rounds', 'ms an iteration', 'Pronghorn’s ratio'],
      names.map(n => [n, 1e3 * entry[n].seconds_median, 1e3 * entry[n].seconds_min, entry[n].seconds.length,
        entry[n].seconds_of_iteration ? 1e3 * entry[n].seconds_of_iteration : '–',
        entry[n].pronghorn_times_as_fast ? {text: num(entry[n].pronghorn_times_as_fast.seconds_median, 2), value: entry[n].pronghorn_times_as_fast.seconds_median} : '–']), title));
  }
  const quality = section('quality', 'Quality', 'What the systems’ answers were checked for before they were timed.');
  const checks = task.verified || {};
  if (checks.systems) {
    const keys = [...new Set(Object.values(checks.systems).flatMap(Object.keys))];
    quality.append(table([{text: 'system', left: true}, ...keys.map(k => k.replaceAll('_', ' '))],
      Object.entries(checks.systems).map(([name, found]) => [name, ...keys.map(k => found[k] === undefined ? '–' :
        {text: typeof found[k] === 'number' ? found[k].toPrecision(6) : String(found[k]), value: found[k]})]), 'Quality'));
  }
  quality.append(facts(Object.entries(checks).filter(([, v]) => typeof v !== 'object').map(([k, v]) => [k.replaceAll('_', ' '), String(v)])));
  const memory = section('memory', 'Memory');
  memory.append(facts([['bytes of X', num(task.bytes_of_x)], ['read rate', task.read_bytes_per_second && `${num(task.read_bytes_per_second / 1e9, 1)} GB/s`],
    ['fit of that rate', task.fit_of_bandwidth && percent(task.fit_of_bandwidth)],
    ...Object.entries(task.peak_memory_of_x || {}).map(([name, share]) => [`${name}: peak of fit beside X`, share === null ? 'did not run' : `${num(share, 3)} X`])]));
  for (const entry of task.left_out || []) memory.append(el('p', {}, `Left out: ${entry.system}: ${entry.reason}`));
  const box = section('set-up', 'Set-up');
  box.append(facts([['processor', machine.cpu], ['cores', machine.cores], ['load before', num(machine.load_average, 2)], ['commit', machine.commit],
    ...Object.entries(task.versions || {})]), el('h3', {}, 'Command'), el('pre', {tabIndex: 0}, report.command || ''));
}

function setUp() {
  const m = report.machine || {}, d = report.device || {}, model = report.model || {}, i = report.images || {}, r = report.resize || {};
  const box = section('set-up', 'Set-up');
  const gib = bytes => bytes ? num(bytes / 2 ** 30, 1) + ' GiB' : '';
  box.append(el('div', {className: 'pair'}, el('div', {}, el('h3', {}, 'Machine'), facts([
    ['processor', m.cpu], ['cores', m.cores && `${m.cores} of ${m.logical_cpus}`], ['clock', m.mhz && num(m.mhz) + ' MHz when asked'], ['governor', m.governor || 'not shown'],
    ['caches', m.l2_bytes && `L2 ${num(m.l2_bytes / 1024)} KiB, L3 ${num(m.l3_bytes / 1024)} KiB`], ['memory', gib(m.memory_bytes)], ['host', m.hypervisor], ['system', m.os], ['kernel', m.kernel],
    ['load before', num(m.load_average, 2)], ['flags', m.flags]])),
  el('div', {}, el('h3', {}, 'Software and data'), facts([
    ['Pronghorn', m.version], ['commit', m.commit], ['compiler', m.compiler], ['device', `${d.name}${d.isa ? ' (' + d.isa + ')' : ''}`], ['threads', d.threads],
    ['model', `${model.name} (${model.format}), ${model.quantized ? 'INT8' : 'float32'}, ${num((model.macs || 0) / 1e9, 2)} GMAC an image`], ['model SHA-256', model.sha256],
    ['images', i.generated ? `${num(i.count)} generated, seed ${i.seed}, mean ${num(i.mean_bytes / 1e3)} KB` : `${num(i.count)} from ${i.path}`], ['too few', i.note],
    ['resize', `${r.mode}, ${r.interpolation}${r.scaled_decode ? ', scaled decode' : ''}`], ['decoder', d.decoders && d.decoders.engine ? `${d.decoders.engine}, and libjpeg-turbo` : 'libjpeg-turbo'],
    ['first result', num(report.first_result_seconds, 3) + ' s after the start'], ['memory', num((report.peak_rss_bytes || 0) / 1e6) + ' MB at most'],
    ['own overhead', report.own_overhead && `${num(report.own_overhead.null_queries_per_second)} null queries/s; ${report.own_overhead.share_of_batch_1 > 0 ? percent(report.own_overhead.share_of_batch_1, 4) + ' of batch 1' : 'batch 1 was not measured'}`]]))),
  el('h3', {}, 'Command'), el('pre', {tabIndex: 0}, report.command || ''));
}

// ---- all of it ----------------------------------------------------------------------------------
if (report.comparison) {
  comparison();
} else if (report.task) {
  learning();
} else {
  heading();
  tiles();
  throughput();
  scenarioParts();
  curves();
  peerParts();
  cost();
  energy();
  time();
  layers();
  failures();
  setUp();
}
document.getElementById('contents').append(...contents.map(([id, title]) => el('a', {href: '#' + id}, title)));
const save = el('button', {type: 'button', className: 'plain'}, 'Save the JSON');
save.addEventListener('click', () => {
  const link = el('a', {href: URL.createObjectURL(new Blob([JSON.stringify(report, null, 1)], {type: 'application/json'})), download: 'pronghorn.json'});
  link.click();
  URL.revokeObjectURL(link.href);
});
document.getElementById('foot').append(el('p', {}, 'Made by ', el('code', {}, 'pronghorn bench'), '. All figures are in the JSON inside this file. ', save));
priced.forEach(show => show());
redraw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
addEventListener('beforeprint', () => Object.values(Chart.instances).forEach(c => c.resize()));
document.documentElement.dataset.ready = 'yes';
})();
