//! The verifying half: its arguments, and how findings are shown. The judging is in `check`, the reading in `source`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::Failure;
use crate::check::Check;
use crate::findings::{Expected, Findings, WriterFindings};
use crate::line::Charset;
use crate::source::Source;

/// Read lines back and check them: missing, doubled, out of order, altered, foreign.
///
/// A doubled line is judged by its first copy and counts as doubled alone. Out of order is a line whose sequence is lower
/// than the highest seen before it in its stream. Altered is one whose payload or size is not what its writer and
/// sequence stand for. Foreign is a line that no writer of ours wrote. A writer must be in exactly one stream.
///
/// Without --count a lost tail cannot be seen: the highest sequence + 1 is taken as the count, and the output says so.
///
/// Exit: 0 all right, 1 not, 64 wrong usage, 69 source cannot be read.
#[derive(Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["file", "dir", "log_group"])))]
pub struct VerifyArgs {
    /// Read this file, or stdin as -
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read the files in and below this directory, one a stream; names that begin with a dot are left out
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// With --dir: only files whose name below it contains this
    #[arg(long, value_name = "SUBSTRING", requires = "dir", default_value = "", hide_default_value = true)]
    stream: String,
    /// Read this log group, with the SDK's own region and credentials (AWS_REGION defaults to us-east-1)
    #[arg(long, value_name = "NAME")]
    log_group: Option<String>,
    /// With --log-group: only streams whose name begins so
    #[arg(long, value_name = "PREFIX", requires = "log_group")]
    log_stream_prefix: Option<String>,
    /// With --log-group: ask this server, e.g. http://127.0.0.1:4580; on loopback credentials default to demo/demo
    #[arg(long, value_name = "URL", requires = "log_group")]
    endpoint_url: Option<String>,
    /// Exactly these writers [default: those that are seen]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    writers: Vec<String>,
    /// Lines of each writer [default: its highest sequence + 1]
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
    /// Bytes a line, newline included [default: that of each writer's first right line]
    #[arg(long, value_name = "BYTES")]
    size: Option<usize>,
    /// What payloads were made of, as given to write
    #[arg(long, value_enum, default_value_t = Charset::Ascii)]
    charset: Charset,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Returns the exit code.
pub fn run(args: VerifyArgs) -> Result<u8, Failure> {
    let expected = Expected { writers: args.writers, count: args.count, size: args.size };
    expected.validate().map_err(|text| Failure::new(64, text))?;
    let source = match (args.file, args.dir, args.log_group) {
        (Some(path), ..) => Source::File(path),
        (None, Some(path), _) => Source::Dir { path, stream: args.stream },
        (None, None, Some(log_group)) => {
            Source::CloudWatch { endpoint_url: args.endpoint_url, log_group, stream_prefix: args.log_stream_prefix }
        }
        (None, None, None) => unreachable!("clap demands one source"),
    };
    let mut check = Check::new(expected, args.charset);
    source.read(&mut check)?;
    let findings = check.finish();
    let text = if args.json { json(&findings) } else { table(&findings) };
    // A reader that went away does not change what was found.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(u8::from(!findings.ok))
}

fn json(findings: &impl Serialize) -> String {
    serde_json::to_string_pretty(findings).expect("numbers and strings") + "\n"
}

fn table(findings: &Findings) -> String {
    let mut rows = vec![
        ["writer", "lines", "expected", "missing", "doubled", "out of order", "altered", "beyond", "stream"]
            .map(str::to_owned),
    ];
    rows.extend(findings.writers.iter().map(row));
    let widths: [usize; 9] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            8 => cell.clone(),
            _ => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    for found in &findings.writers {
        text += &details(found);
    }
    if findings.foreign > 0 {
        text += &format!("foreign: {} lines, the first:\n", findings.foreign);
        findings.foreign_examples.iter().for_each(|example| text += &format!("    {example}\n"));
    }
    text + &verdict(findings)
}

fn row(found: &WriterFindings) -> [String; 9] {
    let stream = match found.streams.as_slice() {
        [] => "never seen".to_owned(),
        [one] => one.clone(),
        many => format!("in {} streams", many.len()),
    };
    let numbers =
        [found.lines, found.expected, found.missing, found.doubled, found.out_of_order, found.altered, found.beyond]
            .map(|number| number.to_string());
    let [lines, expected, missing, doubled, out_of_order, altered, beyond] = numbers;
    [found.writer.clone(), lines, expected, missing, doubled, out_of_order, altered, beyond, stream]
}

/// Where to look, for a writer that is not right.
fn details(found: &WriterFindings) -> String {
    let mut text = String::new();
    let name = &found.writer;
    if !found.missing_first.is_empty() {
        let ranges = found.missing_first.iter().map(|range| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}-{}", range.start(), range.end()),
        });
        text += &format!("{name}: first missing: {}\n", ranges.collect::<Vec<_>>().join(", "));
    }
    if let Some(sequence) = found.doubled_first {
        text += &format!("{name}: first doubled: {sequence}\n");
    }
    if let Some(sequence) = found.out_of_order_first {
        text += &format!("{name}: first out of order: {sequence}\n");
    }
    if !found.altered_examples.is_empty() {
        text += &format!("{name}: first altered:\n");
        found.altered_examples.iter().for_each(|example| text += &format!("    {example}\n"));
    }
    if let [first, second, ..] = found.streams.as_slice() {
        text += &format!("{name}: in more than one stream: {first}, {second}\n");
    }
    text
}

fn verdict(findings: &Findings) -> String {
    let inferred = match (findings.writers_inferred, findings.count_inferred) {
        (true, true) => " (writers and counts inferred from what was seen)",
        (true, false) => " (writers inferred from what was seen)",
        (false, true) => " (counts inferred from what was seen)",
        (false, false) => "",
    };
    let word = if findings.ok { "right" } else { "WRONG" };
    let Findings { lines, bytes, streams, .. } = findings;
    let streams = if *streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") };
    let mut text = format!("{word}: {lines} lines, {bytes} bytes in {streams}{inferred}\n");
    if findings.lines > 0 && findings.writers.iter().all(|found| found.altered == found.lines) {
        text += "no line is right: do --charset and --size match what was written?\n";
    }
    text
}
