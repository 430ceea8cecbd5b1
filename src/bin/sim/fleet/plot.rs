//! Calls over time as SVG: of every scenario a panel, with the quota as a line.

use std::fmt::Write;

use super::figures::BINS_PER_100_MS;
use super::world::{Scenario, Seen};

const WIDTH: f64 = 860.0;
const PANEL_HEIGHT: f64 = 190.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 30.0;
/// Of the quota: where a panel ends. The first moment of a restart is higher, and cut off.
const SCALE_MAX: f64 = 2.0;

#[derive(Default)]
pub struct Plot {
    panels: String,
    count: usize,
}

impl Plot {
    pub fn add(&mut self, scenario: &Scenario, seen: &Seen) {
        let top = self.count as f64 * PANEL_HEIGHT;
        self.count += 1;
        let sums = |bins: &[u32]| bins.chunks(BINS_PER_100_MS).map(|chunk| chunk.iter().sum()).collect::<Vec<u32>>();
        let (calls, stored) = (sums(&seen.calls), sums(&seen.stored));
        let quota = scenario.quota_per_s as f64 / 10.0;
        let panel = Panel { top: top + TOP, height: PANEL_HEIGHT - TOP - BOTTOM, bins: calls.len(), quota };
        let later = &calls[calls.len().min(10)..];
        let mean = f64::from(later.iter().sum::<u32>()) / later.len().max(1) as f64;
        let out = &mut self.panels;
        let title = format!(
            "{}: calls in every 100 ms: first {}, mean after the first second {mean:.0}, quota {quota:.0}",
            scenario.name, calls[0]
        );
        write_text(out, LEFT, top + TOP - 12.0, "start", &title);
        for value in [0.0, quota, 2.0 * quota] {
            write_text(out, LEFT - 6.0, panel.y(value) + 4.0, "end", &format!("{value:.0}"));
        }
        let seconds = calls.len() / 10;
        let step = [5, 10, 20, 50, 100].into_iter().find(|step| seconds / step <= 10).unwrap_or(500);
        for second in (0..=seconds).step_by(step) {
            let x = panel.x(second * 10);
            write_text(out, x, panel.top + panel.height + 16.0, "middle", &format!("{second} s"));
        }
        writeln!(out, "<path d=\"{}\" fill=\"none\" stroke=\"#c60\" stroke-width=\"0.7\"/>", panel.path(&calls))
            .unwrap();
        writeln!(out, "<path d=\"{}\" fill=\"none\" stroke=\"#069\" stroke-width=\"0.9\"/>", panel.path(&stored))
            .unwrap();
        let (y, right) = (panel.y(quota), WIDTH - RIGHT);
        writeln!(
            out,
            "<path d=\"M{LEFT} {y}H{right}\" stroke=\"#000\" stroke-dasharray=\"4 3\" stroke-width=\"0.8\"/>"
        )
        .unwrap();
        let (y, bottom) = (panel.top, panel.top + panel.height);
        writeln!(out, "<path d=\"M{LEFT} {y}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/>").unwrap();
    }

    pub fn svg(self) -> String {
        let height = self.count as f64 * PANEL_HEIGHT + 24.0;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}",
            self.panels
        );
        let legend = "orange: calls that reach the service; blue: calls that it takes; dashed: the quota";
        write_text(&mut out, LEFT, height - 10.0, "start", legend);
        out.push_str("</svg>\n");
        out
    }
}

struct Panel {
    top: f64,
    height: f64,
    bins: usize,
    quota: f64,
}

impl Panel {
    fn x(&self, bin: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * bin as f64 / self.bins as f64
    }

    fn y(&self, calls: f64) -> f64 {
        self.top + self.height * (1.0 - (calls / (SCALE_MAX * self.quota)).min(1.0))
    }

    fn path(&self, calls: &[u32]) -> String {
        let points = calls.iter().enumerate();
        points.fold("M".to_owned(), |mut path, (bin, calls)| {
            write!(path, "{:.1} {:.1} ", self.x(bin), self.y(f64::from(*calls))).expect("a string takes every text");
            path
        })
    }
}

fn write_text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>").expect("as above");
}
