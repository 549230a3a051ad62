#include "tools/train/report_style.h"

namespace xlstm::train {

const char kReportStyle[] = R"(
:root{color-scheme:light dark;--page:#f6f6f3;--card:#fff;--ink:#1b1b19;--soft:#5c5b56;--rule:#e2e1dc;
--s1:#1f6fc9;--s2:#c8500f;--m:#dbe9fb;--s:#fbe3d4;--good:#1a7337;--warn:#8a5a00;--bad:#c22a2a}
@media (prefers-color-scheme:dark){:root{--page:#151514;--card:#1f1f1d;--ink:#ecebe7;--soft:#a5a49d;
--rule:#373733;--s1:#63a4f4;--s2:#f09057;--m:#1d3a5f;--s:#5c3218;--good:#5fc27e;--warn:#e0ac4a;--bad:#f27a72}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;
-webkit-text-size-adjust:100%}
main{max-width:1040px;margin:0 auto;padding:20px 16px 48px}
h1{font-size:26px;line-height:1.25;margin:0;overflow-wrap:anywhere}
h2{font-size:17px;margin:0 0 12px}
h3{font-size:14px;margin:20px 0 8px}
.top{display:flex;flex-wrap:wrap;gap:6px 14px;align-items:center;margin-bottom:4px}
.sub{color:var(--soft);margin:0 0 16px;overflow-wrap:anywhere}
.state{border:1px solid currentColor;border-radius:99px;padding:1px 11px;font-size:13px;font-weight:600}
.finished{color:var(--good)}.running{color:var(--s1)}.stopped{color:var(--warn)}.failed{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(max(132px,22%),1fr));gap:10px;margin:0 0 14px}
.tile,section{background:var(--card);border:1px solid var(--rule);border-radius:10px}
.tile{padding:10px 13px}
.tile b{display:block;font-size:21px;line-height:1.3;font-weight:600}
.tile span{display:block;color:var(--soft);font-size:13px;line-height:1.35}
section{padding:16px;margin:0 0 14px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:0 14px}
.pair>section{min-width:0}
figure{margin:0}
figcaption{font-size:17px;font-weight:700;margin:0 0 4px}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;color:var(--soft);font-size:13px;margin-bottom:12px}
.key{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:7px;vertical-align:middle;
background:currentColor}
.s1{color:var(--s1)}.s2{color:var(--s2)}
.frame{display:grid;grid-template-columns:44px minmax(0,1fr);padding-right:14px}
.frame svg{display:block;width:100%;height:230px;overflow:visible;border-bottom:1px solid var(--soft)}
.ys,.xs{position:relative;color:var(--soft);font-size:12px;font-variant-numeric:tabular-nums}
.ys span{position:absolute;right:8px;transform:translateY(50%);line-height:1}
.xs{grid-column:2;height:22px}
.xs span{position:absolute;top:5px;transform:translateX(-50%);line-height:1.2}
.axis{margin:0;text-align:center;color:var(--soft);font-size:12px}
.grid,.line,.dot{fill:none;stroke:currentColor;vector-effect:non-scaling-stroke}
.grid{color:var(--rule);stroke-width:1}
.line{stroke-width:2;stroke-linejoin:round}
.band{fill:currentColor;opacity:.18}
.dot{stroke-width:7;stroke-linecap:round}
.none{color:var(--soft);margin:0}
.scroll{overflow:auto;max-height:430px;max-width:100%}
table{border-collapse:collapse;font-size:14px;min-width:100%}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top;white-space:nowrap}
thead th{position:sticky;top:0;background:var(--card);color:var(--soft);font-weight:500;font-size:13px}
tbody th{font-weight:500;white-space:normal}
.n{text-align:right;font-variant-numeric:tabular-nums}
.wide td{white-space:normal;overflow-wrap:anywhere;min-width:100px}
tr.sum th,tr.sum td{font-weight:600;border-bottom:0}
code,pre,.mono{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{margin:0;padding:10px 12px;background:var(--page);border-radius:8px;overflow:auto;white-space:pre}
.map{display:flex;flex-wrap:wrap;gap:5px;margin:0 0 16px;padding:0;list-style:none}
.map li{border-radius:6px;padding:4px 9px;font-size:13px;line-height:1.3;text-align:center;min-width:58px}
.map small{display:block;color:var(--soft);font-size:11px}
.map .m{background:var(--m)}.map .s{background:var(--s)}
.map .m small,.map .s small{color:inherit}
blockquote{margin:0 0 10px;padding:9px 13px;background:var(--page);border-left:3px solid var(--s1);
border-radius:0 8px 8px 0;white-space:pre-wrap;overflow-wrap:anywhere}
details{margin-top:12px}
summary{cursor:pointer;color:var(--soft);font-size:14px}
summary+*{margin-top:10px}
a{color:var(--s1)}
footer{color:var(--soft);font-size:13px}
@media (max-width:480px){main{padding:14px 10px 32px}section{padding:13px 12px}h1{font-size:22px}
.tiles{grid-template-columns:1fr 1fr}.frame svg{height:190px}}
@media print{body{background:#fff}.scroll{max-height:none}section{break-inside:avoid}}
)";

}  // namespace xlstm::train
