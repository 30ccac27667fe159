//! Recognising Hermes' own programs by their arguments.

/// One of Hermes' own programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// A gateway at work.
    Gateway,
    /// A subcommand of `hermes` that serves somebody, by its own name.
    Subcommand(&'static str),
    /// The backend of the terminal interface.
    Tui,
    /// Any other command of Hermes.
    Other,
}

impl ProgramKind {
    /// The word used in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            ProgramKind::Gateway => "gateway",
            ProgramKind::Subcommand(name) => name,
            ProgramKind::Tui => "tui",
            ProgramKind::Other => "hermes",
        }
    }
}

/// Subcommands of `hermes` that may serve somebody; all others are shown as `hermes`.
const SERVING: [&str; 9] = ["dashboard", "serve", "gui", "desktop", "proxy", "mcp", "acp", "console", "chat"];

/// Whether these arguments are those of a Hermes gateway at work.
///
/// Hermes starts it as `hermes gateway [run]`, `python -m hermes_cli.main gateway run`, `hermes-gateway` or
/// `gateway/run.py`; `gateway restart` stays in the process it restarts into. A profile may be chosen anywhere
/// by `-p NAME` or `--profile NAME`; other subcommands of `gateway` only manage.
pub fn looks_like_gateway(command_line: &[String]) -> bool {
    recognise(command_line) == Some(ProgramKind::Gateway)
}

/// Whether these arguments are those of any program of Hermes.
pub(super) fn looks_like_hermes(command_line: &[String]) -> bool {
    recognise(command_line).is_some()
}

/// Which of Hermes' programs these arguments are those of.
pub fn recognise(command_line: &[String]) -> Option<ProgramKind> {
    let entry = program(command_line)?;
    let (program, arguments) = (command_line.get(entry)?.as_str(), command_line.get(entry + 1..)?);
    if file_name(program) == "hermes" || program == "hermes_cli.main" || program.ends_with("hermes_cli/main.py") {
        return Some(subcommand(&without_profile(arguments)));
    }
    if file_name(program) == "hermes-gateway" || program.ends_with("gateway/run.py") {
        return Some(ProgramKind::Gateway);
    }
    let is_of = |package: &str| {
        program.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            || program.contains(&format!("/{package}/"))
    };
    if is_of("tui_gateway") {
        return Some(ProgramKind::Tui);
    }
    if file_name(program) == "hermes-acp" || is_of("acp_adapter") {
        return Some(ProgramKind::Subcommand("acp"));
    }
    (file_name(program) == "hermes-agent" || program == "run_agent").then_some(ProgramKind::Other)
}

fn subcommand(arguments: &[&str]) -> ProgramKind {
    if let Some(at) = arguments.iter().position(|argument| *argument == "gateway")
        && matches!(arguments.get(at + 1).copied(), None | Some("run" | "restart"))
    {
        return ProgramKind::Gateway;
    }
    let serving = arguments.iter().find_map(|argument| SERVING.into_iter().find(|name| name == argument));
    serving.map_or(ProgramKind::Other, ProgramKind::Subcommand)
}

/// The place of the program that is run: the first argument, or what a Python interpreter is given to run.
fn program(command_line: &[String]) -> Option<usize> {
    if !file_name(command_line.first()?).starts_with("python") {
        return Some(0);
    }
    let mut place = 1;
    loop {
        match command_line.get(place)?.as_str() {
            // These take a value of their own.
            "-X" | "-W" => place += 2,
            // A program on the command line is none of Hermes'.
            "-c" => return None,
            option if option.starts_with('-') => place += 1,
            _ => return Some(place),
        }
    }
}

/// The last part of a path.
pub fn file_name(argument: &str) -> &str {
    argument.rsplit('/').next().unwrap_or(argument)
}

/// What an interpreter called `interpreter` was given to run: the file name of a script, or a Python module.
pub fn script<'a>(interpreter: &str, command_line: &'a [String]) -> Option<&'a str> {
    const INTERPRETERS: [&str; 10] = ["node", "nodejs", "bun", "deno", "ruby", "perl", "sh", "bash", "dash", "php"];
    if interpreter.starts_with("python") {
        // The interpreter may be called by any name.
        let as_python = command_line.iter().skip(1);
        let place = program(&std::iter::once("python".to_owned()).chain(as_python.cloned()).collect::<Vec<_>>())?;
        return command_line.get(place).map(|script| file_name(script));
    }
    if !INTERPRETERS.contains(&interpreter) {
        return None;
    }
    let argument = command_line.get(1)?;
    // What follows an option may be its value.
    (!argument.starts_with('-')).then(|| file_name(argument))
}

fn without_profile(arguments: &[String]) -> Vec<&str> {
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-p" | "--profile" => drop(arguments.next()),
            other if other.starts_with("--profile=") || other.starts_with("-p=") => {}
            other => rest.push(other),
        }
    }
    rest
}

/// The profile that the arguments choose.
pub(super) fn profile_argument(command_line: &[String]) -> Option<&str> {
    let mut arguments = command_line.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-p" | "--profile" => return arguments.next().map(String::as_str),
            other => {
                if let Some(name) = other.strip_prefix("--profile=").or_else(|| other.strip_prefix("-p=")) {
                    return Some(name);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn command_lines_of_gateways() {
        for line in [
            "hermes gateway run",
            "hermes gateway",
            "/usr/bin/python3 /opt/hermes/venv/bin/hermes gateway run --replace",
            "python -m hermes_cli.main gateway run",
            "python3.11 -X dev -W ignore -u /usr/bin/hermes gateway run",
            "/opt/venv/bin/python /opt/venv/lib/python3.11/site-packages/hermes_cli/main.py -p coder gateway run",
            "hermes gateway restart",
            "hermes --profile=gateway gateway run",
            "hermes -p gateway gateway",
            "python gateway/run.py",
            "/usr/local/bin/hermes-gateway",
        ] {
            assert!(looks_like_gateway(&words(line)), "{line}");
        }
    }

    #[test]
    fn command_lines_of_others() {
        for line in [
            "hermes gateway status",
            "hermes gateway stop",
            "hermes -p gateway status",
            "hermes dashboard",
            "python -m tui_gateway",
            "vim /srv/hermes gateway run",
            "grep -r gateway run",
            "tail -f hermes/gateway.log",
            "nginx: worker process",
            "python -c hermes gateway run",
        ] {
            assert!(!looks_like_gateway(&words(line)), "{line}");
        }
        assert!(!looks_like_gateway(&[]));
    }

    #[test]
    fn hermes_other_programs_by_the_word_they_are_shown_by() {
        for (line, word) in [
            ("hermes dashboard --no-open --port 9119", Some("dashboard")),
            ("python3 /opt/hermes/bin/hermes -p coder dashboard", Some("dashboard")),
            ("python -m hermes_cli.main mcp serve", Some("mcp")),
            ("hermes gateway status", Some("hermes")),
            ("hermes", Some("hermes")),
            ("python -m tui_gateway.entry", Some("tui")),
            ("python /opt/hermes/tui_gateway/entry.py", Some("tui")),
            ("hermes-acp", Some("acp")),
            ("python -m acp_adapter", Some("acp")),
            ("hermes-agent --help", Some("hermes")),
            ("hermes-exporter serve", None),
            ("hermes-alert-bridge", None),
            ("vim /srv/hermes dashboard", None),
            ("python -m tui_gateways", None),
        ] {
            assert_eq!(recognise(&words(line)).map(ProgramKind::as_str), word, "{line}");
        }
    }

    #[test]
    fn what_an_interpreter_runs() {
        for (interpreter, line, expected) in [
            ("python3.11", "python /srv/tools/calendar_server.py --key s", Some("calendar_server.py")),
            ("python3.11", "/venv/bin/uvicorn-python -u -m mcp.server --key s", Some("mcp.server")),
            ("python3.11", "python -c import_this", None),
            ("node", "node /srv/mcp/index.js --token s", Some("index.js")),
            ("node", "node --require secret index.js", None),
            ("bash", "bash -c listen", None),
            ("sh", "sh", None),
            ("socat", "socat TCP-LISTEN:80", None),
        ] {
            assert_eq!(script(interpreter, &words(line)), expected, "{line}");
        }
    }

    #[test]
    fn a_profile_is_chosen_in_four_ways() {
        for line in ["hermes -p a gateway", "hermes --profile a x", "hermes gateway run --profile=a", "hermes -p=a"] {
            assert_eq!(profile_argument(&words(line)), Some("a"), "{line}");
        }
        assert_eq!(profile_argument(&words("hermes gateway run")), None);
    }
}
