/** The style sheet of a report. Colours are those that colour-blind people can tell apart; each comes with a sign or a pattern. */
export const style = `
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 14px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial,
  "Hiragino Sans", "Yu Gothic", Meiryo, "Noto Sans CJK JP", "Noto Sans JP", "IPAGothic", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 22px; line-height: 1.3; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 32px 0 8px; padding-bottom: 3px; border-bottom: 1px solid #999; break-after: avoid; }
p { margin: 6px 0; overflow-wrap: anywhere; }
.small, figcaption { font-size: 12px; color: #444; }
.end { font-size: 15px; font-weight: 600; padding: 8px 12px; border: 1px solid #555; border-left-width: 8px; }
.note { padding: 6px 12px; border: 1px solid #555; border-left-width: 6px; }
.end.good, .note.good { border-color: #00654b; }
.end.bad, .note.bad { border-color: #a82a00; background: #fdf1ec; }
.end.warn, .note.warn { border-color: #8a6100; background: #fff8e6; }
.end.open, .note.open { border-color: #44446e; border-style: dashed; border-left-style: solid; }
.end.back, .note.back { border-color: #84305f; }
.sign { display: inline-block; min-width: 1.1em; text-align: center; text-indent: 0; }
.good > .sign { color: #00654b; }
.bad > .sign, td.bad { color: #a82a00; }
.warn > .sign { color: #8a6100; }
.open > .sign { color: #44446e; }
.back > .sign { color: #84305f; }
.time td.bad, .steps td.bad { font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; line-height: 1.4; margin: 8px 0; }
th, td { border: 1px solid #c4c4c4; padding: 3px 6px; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
thead th { overflow-wrap: normal; background: #ececec; border-bottom: 2px solid #777; }
.facts th { width: 16em; background: #f6f6f6; font-weight: 600; }
table:not(.facts) { table-layout: fixed; }
.time th:nth-child(1) { width: 13%; } .time th:nth-child(2) { width: 14%; }
.time th:nth-child(3), .time th:nth-child(4) { width: 12%; }
.steps th:nth-child(1) { width: 27%; } .steps th:nth-child(2) { width: 11%; }
.steps th:nth-child(3) { width: 9%; } .steps th:nth-child(4) { width: 11%; } .steps th:nth-child(5) { width: 9%; }
.failures th:nth-child(1) { width: 9%; } .failures th:nth-child(2) { width: 27%; } .failures th:nth-child(3) { width: 12%; }
.decisions th:nth-child(1), .runners th:nth-child(1) { width: 9%; } .decisions th:nth-child(2) { width: 22%; }
.decisions th:nth-child(3) { width: 22%; } .runners th:nth-child(2) { width: 26%; } .runners th:nth-child(3) { width: 8%; }
.points th:nth-child(1) { width: 17%; } .points th:nth-child(2) { width: 14%; } .points th:nth-child(4) { width: 22%; }
.points th:nth-child(5), .points th:nth-child(6) { width: 11%; }
.writes th:nth-child(1) { width: 6%; } .writes th:nth-child(2) { width: 10%; } .writes th:nth-child(3) { width: 10%; }
.writes th:nth-child(5) { width: 31%; }
.renewals th:nth-child(1) { width: 22%; } .renewals th:nth-child(2) { width: 9%; } .renewals th:nth-child(4) { width: 7%; }
.renewals th:nth-child(5) { width: 11%; } .renewals th:nth-child(6), .renewals th:nth-child(7) { width: 9%; }
ul { list-style: none; margin: 6px 0; padding: 0; }
li { margin: 3px 0; padding-left: 1.6em; text-indent: -1.6em; overflow-wrap: anywhere; }
code, pre { font: 12px/1.45 ui-monospace, "SFMono-Regular", Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace; }
td code { font-size: 11.5px; }
pre { margin: 4px 0 10px; padding: 6px 10px; border: 1px solid #aaa; background: #f7f7f7; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.code p { margin-top: 10px; }
figure { margin: 8px 0 12px; break-inside: avoid; }
svg { display: block; width: 100%; height: auto; }
.legend { font-size: 12px; break-after: avoid; } .key { display: inline-block; margin: 0 14px 2px 0; white-space: nowrap; }
.key svg { display: inline-block; width: 26px; height: 11px; vertical-align: -1px; }
svg text { font-size: 10.5px; fill: #1a1a1a; }
svg .tick, svg .inside, svg .cutlabel { text-anchor: middle; font-size: 9.5px; }
svg .tick { fill: #444; } svg .cutlabel { font-weight: 700; }
svg .before { text-anchor: end; } svg .lane { font-weight: 600; } svg .number { fill: #555; } svg .took { font-size: 10px; }
svg .sign { font-weight: 700; } svg .sign.good { fill: #00654b; } svg .sign.bad { fill: #a82a00; }
svg .sign.warn { fill: #8a6100; } svg .sign.back { fill: #84305f; } svg .sign.open { fill: #44446e; }
.grid { stroke: #ccc; stroke-width: .6; } .line { stroke: #e6e6e6; stroke-width: .6; }
.bar { stroke-width: .8; } .hatch { stroke-width: .9; fill: none; }
.bar.looking { fill: #fff; stroke: #444; }
.bar.doing { fill: #0072b2; stroke: #00466e; }
.bar.settling { fill: #e3f1fa; stroke: #0072b2; } .hatch.settling { stroke: #0072b2; }
.bar.waiting { fill: #fff1cc; stroke: #8a6100; } .hatch.waiting { stroke: #8a6100; stroke-width: 2.4; stroke-linecap: round; }
.bar.giving-back { fill: #f8e3ef; stroke: #84305f; } .hatch.giving-back { stroke: #84305f; }
.bar.service { fill: #fbdccb; stroke: #a82a00; } .hatch.service { stroke: #a82a00; stroke-width: .7; }
.bar.redundancy { fill: #e6e6f2; stroke: #44446e; } .hatch.redundancy { stroke: #44446e; stroke-width: .7; }
.bar.cost { fill: #f1eee2; stroke: #6b6330; } .hatch.cost { stroke: #6b6330; stroke-width: 2; stroke-linecap: round; }
.shade.service { fill: #d55e00; fill-opacity: .13; } .shade.redundancy { fill: #44446e; fill-opacity: .08; }
.shade.cost { fill: #6b6330; fill-opacity: .05; }
.edge { stroke-width: .8; } .edge.service { stroke: #a82a00; } .edge.redundancy { stroke: #44446e; stroke-dasharray: 3 2; }
.edge.cost { stroke: #6b6330; stroke-dasharray: 1 3; }
.gap { fill: #fff; fill-opacity: .75; stroke: #777; stroke-width: .7; stroke-dasharray: 1.5 2; }
.work { fill: #555; } .silent { stroke: #555; stroke-dasharray: 2 3; stroke-width: 1; }
svg .inside { paint-order: stroke; stroke: #fff; stroke-width: 4px; }
.cut { fill: none; stroke: #555; stroke-width: .9; } .cut.under { stroke: #fff; stroke-width: 4.5; }
@media print {
  @page { size: A4; margin: 14mm 12mm; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 9.5pt; } .end { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  h1 { font-size: 15pt; } h2 { font-size: 11.5pt; margin-top: 16pt; }
  table { font-size: 8pt; } code, pre, td code { font-size: 7pt; }
  tr, li, .note, .end { break-inside: avoid; } thead { display: table-header-group; }
}
`.trim();
