//! What the program says of itself to shells and to man: from the same grammar that reads the arguments.

use std::io::{self, Write};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// The script that completes words of our command line.
pub fn completions(mut grammar: Command, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar, "logpump", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// One page with all subcommands, as roff: `man -l` shows it.
pub fn man(mut grammar: Command) -> String {
    grammar.build();
    let mut page = Vec::new();
    write_page(&grammar, &mut page).expect("memory takes every byte");
    String::from_utf8_lossy(&page).into_owned()
}

fn write_page(grammar: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let whole = Man::new(grammar.clone());
    whole.render_title(page)?;
    whole.render_name_section(page)?;
    whole.render_synopsis_section(page)?;
    whole.render_description_section(page)?;
    for verb in grammar.get_subcommands().filter(|verb| verb.get_name() != "help") {
        writeln!(page, ".SH \"LOGPUMP {}\"", verb.get_name().to_uppercase())?;
        page.write_all(&section(verb)?)?;
    }
    whole.render_version_section(page)
}

/// A subcommand's parts, one level down.
fn section(verb: &Command) -> io::Result<Vec<u8>> {
    let (part, mut text) = (Man::new(verb.clone()), Vec::new());
    part.render_description_section(&mut text)?;
    part.render_synopsis_section(&mut text)?;
    part.render_options_section(&mut text)?;
    part.render_extra_section(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    // The title page's requests are there once.
    let lines =
        text.lines().map(|line| line.strip_prefix(".SH").map_or(line.to_owned(), |title| format!(".SS{title}")));
    Ok(lines.map(|line| line + "\n").collect::<String>().into_bytes())
}
