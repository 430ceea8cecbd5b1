//! The commands: whether each would start. None is started.

use super::{Finding, State};
use crate::child::{Spec, look as look_at};
use crate::limits::DOCTOR_COMMANDS_MAX;

const NAME: &str = "command";

pub fn look(specs: &[Spec]) -> Vec<Finding> {
    let (mut findings, faults): (Vec<_>, Vec<_>) = specs.iter().map(of).partition(|finding| finding.state == State::Ok);
    if findings.len() > DOCTOR_COMMANDS_MAX {
        let more = findings.split_off(DOCTOR_COMMANDS_MAX - 1).len();
        findings.push(Finding::ok(NAME, format!("{more} more would start")));
    }
    findings.extend(faults);
    findings
}

fn of(spec: &Spec) -> Finding {
    match look_at(spec) {
        Ok(found) => match found.doubt {
            None => Finding::ok(NAME, format!("{}: {}", spec.name, found.program.display())),
            Some(doubt) => Finding::warn(
                NAME,
                format!("{}: {doubt}", spec.name),
                "correct the #! line, install what it names, or name the interpreter first",
            ),
        },
        Err(error) => {
            let cause = error.cause(&format!("child {}", spec.name));
            Finding::fail(NAME, cause, error.remedy().unwrap_or("look at the command"))
        }
    }
}
