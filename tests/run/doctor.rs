//! `logpump doctor` against the stand-in: what is well, and each thing that is not, with its remedy and the exit code.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;

use crate::program::{GROUP, bare, read_back, standin};
use crate::standin::Standin;

/// In credentials, to be looked for in everything that is printed.
const SECRET: &str = "marked-secret-7c41";
const TOKEN: &str = "marked-token-9b02";

pub struct Doctor {
    command: Command,
    args: Vec<String>,
    pub place: tempfile::TempDir,
}

/// What it printed as text, and as JSON.
pub struct Said {
    pub code: Option<i32>,
    pub text: String,
    json: Value,
}

impl Doctor {
    pub fn new(args: &[&str]) -> Doctor {
        let place = tempfile::tempdir().unwrap();
        let mut command = bare(place.path());
        command.env("AWS_ACCESS_KEY_ID", "demo").env("AWS_SECRET_ACCESS_KEY", "demo").env("AWS_REGION", "eu-central-1");
        command.arg("doctor");
        Doctor { command, args: args.iter().map(|arg| (*arg).to_owned()).collect(), place }
    }

    fn at(url: &str, args: &[&str]) -> Doctor {
        Doctor::new(&[&["--log-group", GROUP, "--endpoint-url", url], args].concat())
    }

    pub fn env(mut self, name: &str, value: &str) -> Doctor {
        self.command.env(name, value);
        self
    }

    fn without(mut self, names: &[&str]) -> Doctor {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    pub fn output(&self, first: &[&str]) -> Output {
        let mut command = Command::new(self.command.get_program());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(self.command.get_args()).args(first).args(&self.args).output().unwrap()
    }

    /// Once as text and once as JSON: they must say the same.
    pub fn look(self) -> Said {
        let output = self.output(&[]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8(output.stdout).unwrap();
        let json = self.output(&["--json"]);
        assert_eq!(json.status.code(), output.status.code());
        let json: Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
        let said = Said { code: output.status.code(), text, json };
        let names =
            said.text.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().nth(1));
        let findings = said.json["findings"].as_array().unwrap();
        let expected: Vec<_> = findings.iter().map(|finding| finding["name"].as_str().unwrap()).collect();
        let names: Vec<_> = names.collect();
        // The last line of the text says what `works` does.
        assert_eq!(names[..names.len() - 1], expected, "{}", said.text);
        assert_eq!(said.json["works"], said.code == Some(0), "{}", said.text);
        // The free space changes from one to the other, the stream's name has the time in it, and the first may have made
        // the group.
        for finding in findings
            .iter()
            .filter(|finding| !["spool", "dir", "try", "service", "mwaa"].contains(&finding["name"].as_str().unwrap()))
        {
            let line = finding["text"].as_str().unwrap();
            assert!(said.text.contains(line), "{line} is not in:\n{}", said.text);
        }
        assert!(!self.place.path().join("spool").exists(), "it left its trial behind");
        said
    }
}

impl Said {
    /// State, text and remedy of the first finding of this name.
    fn finding(&self, name: &str) -> (&str, &str, &str) {
        let findings = self.json["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["name"] == name);
        let finding = finding.unwrap_or_else(|| panic!("nothing of {name}:\n{}", self.text));
        let of = |field: &str| finding[field].as_str().unwrap_or_default();
        (of("state"), of("text"), of("remedy"))
    }

    fn speaks_of(&self, name: &str) -> bool {
        self.json["findings"].as_array().unwrap().iter().any(|finding| finding["name"] == name)
    }

    /// The only thing that fails is this, and it says so.
    fn assert_fails(&self, names: &[&str], text: &str, remedy: &str) {
        assert_eq!(self.code, Some(69), "{}", self.text);
        let findings = self.json["findings"].as_array().unwrap();
        let failed: Vec<_> = findings.iter().filter(|finding| finding["state"] == "fail").collect();
        let found: Vec<_> = failed.iter().map(|finding| finding["name"].as_str().unwrap()).collect();
        assert_eq!(found, names, "{}", self.text);
        let (_, said, how) = self.finding(names[0]);
        assert!(said.contains(text) && how.contains(remedy), "{}", self.text);
    }
}

#[test]
fn where_all_is_well_it_says_so_and_changes_nothing() {
    let standin = standin(&[]);
    let said = Doctor::at(&standin.url, &["--engine", "epoll", "--", "python3", "app.py", "--", "sh"]).look();
    assert_eq!(said.code, Some(0), "{}", said.text);
    let expected = [
        ("engine", "epoll: asked for"),
        ("kernel", "Linux "),
        ("pipes", "256 KiB each"),
        ("descriptors", "2 commands take 68"),
        ("command", "python3: /"),
        ("spool", "can be written"),
        ("region", "eu-central-1"),
        ("credentials", "from EnvironmentVariable, key ...demo"),
        ("endpoint", "resolves (127.0.0.1) and connects"),
        ("service", "log group /run/tests is there"),
    ];
    for (name, text) in expected {
        assert!(said.finding(name).1.contains(text), "{name}: {}", said.text);
    }
    for name in ["memlock", "clock"] {
        said.finding(name);
    }
    assert!(said.text.ends_with("logpump can work here\n"), "{}", said.text);
    assert!(said.text.lines().count() <= 24, "more than a screen:\n{}", said.text);
    assert_eq!(standin.stats()["events"], 0);
}

#[test]
fn a_try_stores_one_event_in_the_streams_place() {
    for gzip in [&[][..], &["--gzip"]] {
        let standin = standin(&[]);
        let args = [gzip, &["--try", "--log-stream", "{name}", "--", "/bin/sh"]].concat();
        let said = Doctor::at(&standin.url, &args).look();
        assert_eq!((said.code, said.finding("try").0), (Some(0), "ok"), "{}", said.text);
        // Text and JSON: two runs.
        let expected = format!("logpump {} doctor: this line can be ignored", env!("CARGO_PKG_VERSION"));
        assert_eq!(read_back(&standin, "sh"), vec![expected; 2]);
    }
}

#[test]
fn every_group_of_a_configuration_is_looked_at() {
    let standin = standin(&[]);
    let doctor = Doctor::new(&["--endpoint-url", &standin.url, "--config"]);
    let path = doctor.place.path().join("logpump.toml");
    let process = |name: &str, group: &str| {
        format!("[[process]]\nname = \"{name}\"\ncommand = [\"true\"]\nlog_group = \"{group}\"\n")
    };
    std::fs::write(&path, [process("one", GROUP), process("two", "/missing"), process("three", GROUP)].concat())
        .unwrap();
    let said =
        Doctor { args: [doctor.args.clone(), vec![path.to_str().unwrap().to_owned()]].concat(), ..doctor }.look();
    assert_eq!(said.code, Some(69), "{}", said.text);
    let count = |text: &str| said.text.matches(text).count();
    let counts =
        [count("log group /run/tests is there"), count("log group /missing does not exist"), count("credentials")];
    assert_eq!(counts, [1, 1, 1], "{}", said.text);
}

#[test]
fn a_missing_group_fails_unless_it_may_be_made() {
    let standin = Standin::start(&[]);
    let expected = "log group /run/tests does not exist";
    Doctor::at(&standin.url, &[]).look().assert_fails(&["service"], expected, "--create-group");
    Doctor::at(&standin.url, &["--try"]).look().assert_fails(&["service", "try"], expected, "--create-group");
    let said = Doctor::at(&standin.url, &["--create-group"]).look();
    assert!(said.code == Some(0) && said.finding("service").1.contains("--create-group makes it"), "{}", said.text);
    assert_eq!(Doctor::at(&standin.url, &["--create-group", "--try"]).look().code, Some(0));
}

#[test]
fn wrong_credentials_and_none_are_told_apart_and_no_secret_is_printed() {
    let standin = standin(&[]);
    let wrong = |doctor: Doctor| doctor.env("AWS_SECRET_ACCESS_KEY", SECRET).env("AWS_SESSION_TOKEN", TOKEN);
    for args in [&["--try"][..], &[]] {
        let said = wrong(Doctor::at(&standin.url, args)).look();
        let failed: &[&str] = if args.is_empty() { &["service"] } else { &["service", "try"] };
        said.assert_fails(failed, "signature", "mend the credentials");
        let all = format!("{}{}", said.text, said.json);
        assert!(!all.contains(SECRET) && !all.contains(TOKEN) && !all.contains("marked-"), "{all}");
    }
    let none = Doctor::at(&standin.url, &[]).without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    none.look().assert_fails(&["credentials"], "no credentials found", "AWS_ACCESS_KEY_ID");
}

#[test]
fn a_profile_and_a_process_that_give_credentials_are_named() {
    let standin = standin(&[]);
    let from_file = |config: &str| {
        let doctor = Doctor::at(&standin.url, &[]).without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
        let path = doctor.place.path().join("config");
        std::fs::write(&path, config).unwrap();
        let said = doctor.env("AWS_CONFIG_FILE", path.to_str().unwrap()).look();
        (said.code, said.finding("credentials").1.split(',').next().unwrap().to_owned())
    };
    let keys = "[default]\naws_access_key_id = demo\naws_secret_access_key = demo\n";
    assert_eq!(from_file(keys), (Some(0), "from ProfileFile".to_owned()));
    let process = "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"demo\",\"SecretAccessKey\":\"demo\"}'\n";
    assert_eq!(from_file(process), (Some(0), "from CredentialProcess".to_owned()));
}

#[test]
fn no_region_a_closed_port_and_a_name_that_does_not_resolve_fail() {
    let standin = standin(&[]);
    let nowhere = Doctor::at(&standin.url, &[]).without(&["AWS_REGION"]);
    nowhere.look().assert_fails(&["region"], "none is known", "AWS_REGION");
    let closed = Doctor::at("http://127.0.0.1:1", &[]).look();
    closed.assert_fails(&["endpoint", "service"], "http://127.0.0.1:1 does not connect", "security groups");
    let unknown = Doctor::at("http://logs.invalid", &[]).look();
    unknown.assert_fails(&["endpoint", "service"], "http://logs.invalid does not resolve", "DNS");
    let password = Doctor::at("http://me:marked-password@127.0.0.1:1", &[]).output(&[]);
    let said = String::from_utf8(password.stderr).unwrap();
    assert!(password.status.code() == Some(64) && !said.contains("marked-password"), "{said}");
}

#[test]
fn a_service_that_never_answers_is_not_waited_for() {
    // The kernel accepts connections for it; nobody reads.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = Doctor::at(&format!("http://{}", silent.local_addr().unwrap()), &[]).look();
    said.assert_fails(&["service"], "none within 10 s", "certificates");
}

#[test]
fn a_spool_that_cannot_be_written_fails_if_it_was_asked_for_and_one_in_memory_warns() {
    let standin = standin(&[]);
    let spool =
        |directory: &str| Doctor::at(&standin.url, &["--spool-dir", directory]).without(&["LOGPUMP_SPOOL_DIR"]).look();
    spool("/proc/logpump-spool").assert_fails(&["spool"], "cannot make /proc/logpump-spool", "name a directory");
    let default = Doctor::at(&standin.url, &[]).without(&["LOGPUMP_SPOOL_DIR"]).env("TMPDIR", "/proc/nowhere").look();
    assert_eq!((default.code, default.finding("spool").0), (Some(0), "warn"), "{}", default.text);
    let small = Doctor::at(&standin.url, &["--spool-max", "64TiB"]).look();
    assert!(small.finding("spool").2.contains("lower --spool-max"), "{}", small.text);
    let none = Doctor::at(&standin.url, &["--spool-max", "0"]).look();
    assert!(none.code == Some(0) && none.finding("spool").1.starts_with("none"), "{}", none.text);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    if mounts.lines().any(|mount| mount.split(' ').skip(1).take(2).eq(["/dev/shm", "tmpfs"])) {
        let said = spool("/dev/shm/logpump-doctor");
        let (state, text, remedy) = said.finding("spool");
        assert!(state == "warn" && text.contains("tmpfs") && remedy.contains("lies in memory"), "{}", said.text);
        assert!(!std::path::Path::new("/dev/shm/logpump-doctor").exists());
    }
}

#[test]
fn what_run_calls_wrong_usage_is_wrong_here_too() {
    for args in [
        &["--log-group", "a b"][..],
        &["--try"],
        &["--engine", "kqueue"],
        &["--memory-max", "1KiB"],
        &["--flush-interval", "1ms"],
        &["--log-group", "g", "--spool-max", "1MiB"],
        &["--log-group", "g", "--durable", "--spool-max", "0"],
        &["app"],
        &["--log-group", "g", "--dir", "logs"],
        &["--sink", "cloudwatch"],
        &["--log-group", "g", "--endpoint-url", "http://["],
    ] {
        let output = Doctor::new(args).output(&[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(64), 1), "{args:?}: {said}");
    }
}

#[test]
fn it_takes_every_option_of_a_run() {
    let help = |verb: &str| Command::new(env!("CARGO_BIN_EXE_logpump")).args([verb, "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help("doctor")).unwrap();
    assert!(help.contains("--try") && help.contains("--json") && help.contains("--spool-dir"), "{help}");
    assert!(!help.contains("--eof-grace"), "what it does not look at is not shown:\n{help}");
    let said = Doctor::new(&["--eof-grace", "1s", "--tee", "--report", "/dev/null", "--max-in-flight", "4"]).look();
    assert_eq!(said.code, Some(0), "{}", said.text);
}

/// A file in the doctor's place.
fn file(doctor: &Doctor, name: &str, text: &str, mode: u32) -> String {
    let path = doctor.place.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

impl Doctor {
    fn and(mut self, args: &[&str]) -> Doctor {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }
}

#[test]
fn each_command_is_looked_at_and_none_is_started() {
    let doctor = Doctor::new(&["--dir", "/tmp"]);
    let mark = doctor.place.path().join("started");
    let well = file(&doctor, "well", &format!("#!/bin/sh\ntouch {}\n", mark.display()), 0o755);
    let plain = file(&doctor, "plain", "#!/bin/sh\n", 0o644);
    let orphan = file(&doctor, "orphan", "#!/no/such/python\n", 0o755);
    let asks = file(&doctor, "asks", "#!/usr/bin/env no-such-python\n", 0o755);
    let said = doctor.and(&["--", &well, "--", &plain, "--", "no-such-program", "--", &orphan, "--", &asks]).look();
    assert_eq!(said.code, Some(69), "{}", said.text);
    for line in [
        format!("ok    command      well: {well}\n"),
        format!("fail  command      cannot start child plain ({plain}): EACCES; {plain} is not executable\n"),
        "fail  command      cannot start child no-such-program (no-such-program): ENOENT; no such command in PATH"
            .to_owned(),
        "the interpreter that its #! line names, /no/such/python, does not\n".to_owned(),
        format!("warn  command      asks: the #! line of {asks} wants no-such-python, which is not in PATH\n"),
        "-> chmod +x it, or name its interpreter first\n".to_owned(),
    ] {
        assert!(said.text.contains(&line), "{line:?} is not in:\n{}", said.text);
    }
    assert!(!mark.exists());
    // Of many that are well, a few lines.
    let many = ["--", "sh"].repeat(9);
    let said = Doctor::new(&["--dir", "/tmp"]).and(&many).look();
    assert_eq!(said.text.matches(" command ").count(), 4, "{}", said.text);
    assert!(said.code == Some(0) && said.text.contains("6 more would start"), "{}", said.text);
}

#[test]
fn lines_that_go_into_files_need_nothing_of_aws_and_a_directory_that_takes_them() {
    let doctor = Doctor::new(&[]);
    let logs = doctor.place.path().join("not/there/yet");
    let said = doctor.and(&["--dir", logs.to_str().unwrap(), "--", "true"]).look();
    assert_eq!((said.code, said.finding("dir").0), (Some(0), "ok"), "{}", said.text);
    assert!(said.finding("dir").1.contains("would be made, and can be written: "), "{}", said.text);
    for name in ["service", "spool", "credentials"] {
        assert!(!said.speaks_of(name), "{name} was not asked for:\n{}", said.text);
    }
    assert!(!logs.exists() && !logs.parent().unwrap().exists());
    Doctor::new(&["--dir", "/proc/logs"]).look().assert_fails(&["dir"], "cannot write /proc/logs", "--dir");
    // One file of it is a directory.
    let doctor = Doctor::new(&["--log-stream", "{name}"]);
    let path = doctor.place.path().to_owned();
    std::fs::create_dir(path.join("true")).unwrap();
    let said = doctor.and(&["--dir", path.to_str().unwrap(), "--", "true"]).look();
    said.assert_fails(&["dir"], &format!("cannot write {}/true: Is a directory", path.display()), "--dir");
    // Nobody asked for a place: that is worth a word.
    let said = Doctor::new(&[]).look();
    assert_eq!((said.code, said.finding("service").0), (Some(0), "warn"), "{}", said.text);
    said.finding("dir");
    assert!(!Doctor::new(&["--sink", "null", "--", "true"]).look().speaks_of("service"));
}

#[test]
fn a_limit_of_open_files_that_is_too_low_for_the_commands_fails() {
    let mut doctor = Doctor::new(&["--engine", "epoll", "--dir", "/tmp"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=100").arg(doctor.command.get_program()).args(doctor.command.get_args());
    for (name, value) in doctor.command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    doctor.command = limited;
    let said = doctor.and(&["--", "true"].repeat(13)).look();
    said.assert_fails(&["descriptors"], "at most 100; 13 commands take 103", "raise the limit to 103");
}

#[test]
fn a_directory_on_a_full_disk_fails_and_is_left_empty() {
    let mut doctor = Doctor::new(&["--engine", "epoll"]);
    let logs = tempfile::tempdir().unwrap();
    // No file may have a byte.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; exec prlimit --fsize=0 \"$@\"", "sh"]);
    limited.arg(doctor.command.get_program()).args(doctor.command.get_args());
    for (name, value) in doctor.command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    doctor.command = limited;
    let said = doctor.and(&["--dir", logs.path().to_str().unwrap(), "--", "true"]).look();
    said.assert_fails(&["dir"], "File too large", "--dir");
    assert_eq!(std::fs::read_dir(logs.path()).unwrap().count(), 0);
}

#[test]
fn the_commands_and_ports_of_health_conditions_are_looked_at() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let [taken_at, free_at] = [&taken, &free].map(|socket| socket.local_addr().unwrap());
    let condition = |of: &str| format!("[[process.health]]\n{of}\n");
    let udp = |address| condition(&format!("type = \"udp\"\nlisten = \"{address}\""));
    let exec = |program| condition(&format!("type = \"exec\"\ncommand = [\"{program}\"]"));
    let process = |name| format!("[[process]]\nname = \"{name}\"\ncommand = [\"sleep\", \"9\"]\n");
    let text = [
        process("web"),
        udp(free_at),
        exec("true"),
        exec("no-such-check"),
        process("api"),
        udp(free_at),
        udp(taken_at),
    ];
    let doctor = Doctor::new(&["--dir", "/tmp"]);
    let config = file(&doctor, "logpump.toml", &text.concat(), 0o644);
    drop(free);
    let said = doctor.and(&["--config", &config]).look();
    assert_eq!(said.code, Some(69), "{}", said.text);
    // Two commands with files, two checks, two addresses.
    assert!(said.finding("descriptors").1.ends_with("2 commands take 76"), "{}", said.text);
    for line in [
        "ok    command      the check of web: /".to_owned(),
        "fail  command      cannot start child the check of web (no-such-check): ENOENT; no such".to_owned(),
        format!("ok    health       can listen on {free_at} (UDP)\n"),
        format!("fail  health       cannot listen on {taken_at} (UDP): Address already in use"),
    ] {
        assert!(said.text.contains(&line), "{line:?} is not in:\n{}", said.text);
    }
    assert_eq!(said.text.matches(&free_at.to_string()).count(), 1, "{}", said.text);
}
