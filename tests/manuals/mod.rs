//! The manual pages and the completions of shells in `packaging/`, which are made from the commands and flags of both
//! programs: that they are not stale, and that what is written by hand in them is true. To renew them:
//!
//! ```sh
//! UPDATE_GOLDEN=1 cargo test --locked --test tests manuals
//! ```
//!
//! What Clap does not know (exit codes, files, examples) is in `NAME.roff` beside this file; what stands there before the
//! first heading goes on with the description.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

const RENEW: &str = "UPDATE_GOLDEN=1 cargo test --locked --test tests manuals";

/// The programs: commands and flags, and what is written by hand, by the page that it belongs to.
fn programs() -> [Command; 2] {
    [hermes_exporter::exporter::cli::command(), hermes_exporter::bridge::cli::command()]
}

const BY_HAND: [(&str, &str); 5] = [
    ("hermes-exporter", include_str!("hermes-exporter.roff")),
    ("hermes-exporter-check", include_str!("hermes-exporter-check.roff")),
    ("hermes-exporter-report", include_str!("hermes-exporter-report.roff")),
    ("hermes-alert-bridge", include_str!("hermes-alert-bridge.roff")),
    ("hermes-alert-bridge-check-config", include_str!("hermes-alert-bridge-check-config.roff")),
];

/// What all commands exit with that say nothing else.
const EXIT_STATUS: &str = ".SH \"EXIT STATUS\"\n.TP\n.B 0\nDone.\n.TP\n.B 1\nIt failed.\n.TP\n.B 64\nThe command line or the \
                           configuration is wrong.\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The day of the newest version, so that the pages do not change from day to day.
fn date() -> String {
    let changelog = fs::read_to_string(root().join("packaging/debian/changelog")).unwrap();
    let signed = changelog.lines().find(|line| line.starts_with(" -- ")).unwrap();
    let mut words = signed.rsplit_once(", ").unwrap().1.split(' ');
    let (day, month, year) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month).unwrap() + 1;
    format!("{year}-{month:02}-{day:0>2}")
}

/// A command without what is hidden, which completions would offer. Clap can not take a command away.
fn shown(command: &Command) -> Command {
    let name: &'static str = Box::leak(command.get_name().to_owned().into_boxed_str());
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).map(shown);
    let mut made = Command::new(name)
        .args(command.get_arguments().cloned())
        .groups(command.get_groups().cloned())
        .subcommand_required(command.is_subcommand_required_set())
        .disable_help_subcommand(true)
        .subcommands(below);
    if let Some(about) = command.get_about() {
        made = made.about(about.clone());
    }
    match command.get_version() {
        Some(version) => made.version(&*Box::leak(version.to_owned().into_boxed_str())),
        None => made,
    }
}

/// Every manual page of a program, by the name of its file.
fn pages(program: Command) -> BTreeMap<String, Vec<u8>> {
    fn add(command: &Command, program: &str, version: &str, made: &mut BTreeMap<String, Vec<u8>>) {
        let name = command.get_display_name().unwrap_or(program).to_owned();
        let about = command.get_about().unwrap().to_string();
        let brief = about.split([':', ';']).next().unwrap().to_owned();
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").to_owned();
        let man = Man::new(command.clone().about(brief).long_about(format!("{about}.")).override_usage(usage))
            .title(name.to_uppercase())
            .date(date())
            .source(format!("{program} {version}"))
            .manual("Hermes agents");
        let by_hand = BY_HAND.iter().find(|(page, _)| *page == name).map_or(EXIT_STATUS, |(_, text)| *text);
        let (goes_on, sections) = by_hand.split_at(by_hand.find(".SH ").unwrap());

        let mut options = Vec::new();
        man.render_options_section(&mut options).unwrap();
        // A blank line between two breaks is a paragraph, and says it twice.
        let options = String::from_utf8(options).unwrap().replace(".br\n\n.br\n", ".sp\n");

        let mut page = Vec::new();
        man.render_title(&mut page).unwrap();
        man.render_name_section(&mut page).unwrap();
        man.render_synopsis_section(&mut page).unwrap();
        man.render_description_section(&mut page).unwrap();
        page.extend(goes_on.as_bytes());
        page.extend(options.as_bytes());
        if command.has_subcommands() {
            man.render_subcommands_section(&mut page).unwrap();
        }
        page.extend(sections.as_bytes());
        if name != program {
            page.extend(format!(".SH \"SEE ALSO\"\n.BR {} (1)\n", program.replace('-', "\\-")).as_bytes());
        }
        assert!(made.insert(format!("{name}.1"), page).is_none(), "two pages are called {name}");
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            add(below, program, version, made);
        }
    }
    let mut program = program.disable_help_subcommand(true).subcommand_help_heading("COMMANDS");
    program.build();
    let (name, version) = (program.get_name().to_owned(), program.get_version().unwrap().to_owned());
    let mut made = BTreeMap::new();
    add(&program, &name, &version, &mut made);
    made
}

/// The completions of a program for a shell.
fn completions(program: &Command, shell: Shell) -> Vec<u8> {
    let (name, mut script) = (program.get_name(), Vec::new());
    generate(shell, &mut shown(program), name, &mut script);
    let mut script = String::from_utf8(script).unwrap();
    if shell == Shell::Bash {
        // clap_complete calls a state of a program with a hyphen by two names, so that nothing is completed behind a
        // command: https://github.com/clap-rs/clap/issues/6421
        script = script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
    }
    if shell == Shell::Fish {
        // What clap_complete looks for the command with refuses the definition of an option that has a dot in its name.
        let (begins, ends) = ("    argparse -s (", ")");
        let from = script.find(begins).unwrap();
        let options = script[from + begins.len()..].split(ends).next().unwrap().to_owned();
        let to = from + script[from..].find("    return 0\n").unwrap();
        let look = format!(
            "    set -l before
    for word in $cmd
        # Neither an option nor the value of one.
        if not string match -q -- '-*' $word; and not contains -- (string sub -s 3 -- \"$before\")= ({options})
            echo $word
            return 1
        end
        set before $word
    end
"
        );
        script.replace_range(from..to, &look);
    }
    script.into_bytes()
}

/// Every file that is made, by its path in `packaging/`; completions have the names that Debian's folders want.
fn made() -> BTreeMap<String, Vec<u8>> {
    let mut made = BTreeMap::new();
    for program in programs() {
        let name = program.get_name().to_owned();
        for (shell, file) in [
            (Shell::Bash, format!("bash/{name}")),
            (Shell::Zsh, format!("zsh/_{name}")),
            (Shell::Fish, format!("fish/{name}.fish")),
        ] {
            made.insert(format!("completions/{file}"), completions(&program, shell));
        }
        made.extend(pages(program).into_iter().map(|(file, page)| (format!("man/{file}"), page)));
    }
    made
}

/// Every file that is there, by the same path.
fn there(folder: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(root().join("packaging").join(folder)) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => there(&path, found),
            false => drop(found.insert(path, fs::read(entry.path()).unwrap())),
        }
    }
}

#[test]
fn manual_pages_and_completions_are_not_stale() {
    let (made, mut present) = (made(), BTreeMap::new());
    there("man", &mut present);
    there("completions", &mut present);
    let paths: BTreeSet<_> = made.keys().chain(present.keys()).collect();
    let stale: Vec<_> = paths.into_iter().filter(|path| made.get(*path) != present.get(*path)).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        for path in &stale {
            let file = root().join("packaging").join(path);
            match made.get(*path) {
                Some(text) => {
                    fs::create_dir_all(file.parent().unwrap()).unwrap();
                    fs::write(file, text).unwrap();
                }
                None => fs::remove_file(file).unwrap(),
            }
        }
        return;
    }
    assert!(stale.is_empty(), "stale in packaging: {stale:?}; run {RENEW}");
}

#[test]
fn what_is_hidden_is_neither_completed_nor_described() {
    let (made, mut hidden) = (made(), 0);
    let text = |path: String| String::from_utf8(made[&path].clone()).unwrap();
    for program in programs() {
        let name = program.get_name();
        let (bash, zsh, fish) = (
            text(format!("completions/bash/{name}")),
            text(format!("completions/zsh/_{name}")),
            text(format!("completions/fish/{name}.fish")),
        );
        for command in program.get_subcommands() {
            let typed = command.get_name();
            let told = [
                bash.contains(&format!(",{typed})\n")),
                zsh.lines().any(|line| line.trim() == format!("({typed})")),
                fish.contains(&format!(" -a \"{typed}\"")),
                made.contains_key(&format!("man/{name}-{typed}.1")),
            ];
            assert_eq!(told, [!command.is_hide_set(); 4], "{typed}");
            hidden += usize::from(command.is_hide_set());
        }
    }
    assert!(hidden > 0);
}

#[test]
fn examples_in_manual_pages_can_be_typed() {
    let mut tried = 0;
    for (page, text) in BY_HAND {
        for example in text.split(".EX\n").skip(1).flat_map(|part| part.split(".EE").next().unwrap().lines()) {
            let typed = example.replace("\\-", "-");
            let words: Vec<_> = typed.split(" > ").next().unwrap().split(' ').collect();
            let Some(program) = programs().into_iter().find(|program| program.get_name() == words[0]) else { continue };
            if let Err(error) = program.try_get_matches_from(words) {
                panic!("{page}: {typed}: {error}");
            }
            tried += 1;
        }
    }
    assert!(tried > 5, "{tried} examples");
}

/// What the real bash completes the last of these words to.
fn completed(words: &[&str]) -> Vec<String> {
    let script = r#"
        . "packaging/completions/bash/$1"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        call=$(complete -p "$1") && call=${call#*-F } && ${call%% *} "$1" "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = std::process::Command::new("bash");
    let ended = bash.args(["-c", script, "bash"]).args(words).current_dir(root()).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    assert_eq!(completed(&["hermes-exporter", "che"]), ["check", "check-config"]);
    assert_eq!(completed(&["hermes-exporter", "check", "--no-collector.ba"]), ["--no-collector.backup"]);
    assert_eq!(completed(&["hermes-exporter", "check", "--color", ""]), ["auto", "always", "never"]);
    assert_eq!(completed(&["hermes-exporter", "scrape", "--output", "Cargo.t"]), ["Cargo.toml"]);
    assert_eq!(completed(&["hermes-alert-bridge", "queue", "retry", "--ch"]), ["--chat"]);
}
