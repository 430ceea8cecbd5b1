//! The addresses at which statuses of health come in: bound as a run would, and let go again.

use std::net::{SocketAddr, UdpSocket};

use super::Finding;
use crate::limits::DOCTOR_COMMANDS_MAX;

const NAME: &str = "health";

pub fn look(listens: &[SocketAddr]) -> Vec<Finding> {
    let (mut free, mut findings) = (Vec::new(), Vec::new());
    for address in listens {
        match UdpSocket::bind(address) {
            Ok(_) => free.push(address.to_string()),
            Err(error) => findings.push(Finding::fail(
                NAME,
                format!("cannot listen on {address} (UDP): {error}"),
                "name another port with listen, or end what has it (a logpump that runs with this file does)",
            )),
        }
    }
    let more = free.len().saturating_sub(DOCTOR_COMMANDS_MAX);
    free.truncate(DOCTOR_COMMANDS_MAX);
    if !free.is_empty() {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        findings.insert(0, Finding::ok(NAME, format!("can listen on {}{more} (UDP)", free.join(", "))));
    }
    findings
}
