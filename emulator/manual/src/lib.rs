//! Completion scripts and manual pages of a command, from the definition of its arguments.
//!
//! The subcommands `completions` and `man` of `imds-emulator`, `imds-conformance` and
//! `ec2-role-credentials` are these two functions. `tests/manual-test.sh` tests what they write with
//! shells and formatters of manual pages.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

pub use clap_complete::Shell;

/// Prints a completion script to standard output. A closed pipe is not an error.
pub fn completions(shell: Shell, command: Command) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match (out.write_all(script(shell, command).as_bytes())).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

fn script(shell: Shell, mut command: Command) -> String {
    let name = command.get_name().to_owned();
    // With a hyphen in its name, bash would complete none of a command's subcommands:
    // https://github.com/clap-rs/clap/issues/6421
    let safe_name = match shell {
        Shell::Bash => name.replace('-', "_"),
        _ => name.clone(),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &safe_name, &mut script);
    let script = String::from_utf8_lossy(&script);
    // Lines that end with the name say what is completed.
    script.replace(&format!(" {safe_name}\n"), &format!(" {name}\n"))
}

/// Writes the manual into a folder, which is created if it does not exist: a page for the command and
/// one for each subcommand.
pub fn write(mut command: Command, folder: &Path) -> io::Result<()> {
    let of = |error: io::Error| {
        let text = format!("cannot write the manual into {}: {error}", folder.display());
        io::Error::new(error.kind(), text)
    };
    fs::create_dir_all(folder).map_err(of)?;
    // Pages of `help` would repeat the others.
    command = command.disable_help_subcommand(true);
    command.build();
    let version = command.get_version().unwrap_or_default();
    let source = format!("{} {version}", command.get_name());
    write_page(&command, &source, folder).map_err(of)
}

fn write_page(command: &Command, source: &str, folder: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write_page(subcommand, source, folder)?;
    }
    let page = Man::new(command.clone()).source(source);
    page.generate_to(folder).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Command {
        let leaf = Command::new("remove").about("Remove");
        let group = Command::new("fault").about("Faults").subcommand(leaf);
        Command::new("an-example")
            .version("1.2.3")
            .subcommand(group)
    }

    #[test]
    fn the_script_for_bash_completes_subcommands_of_a_name_with_a_hyphen() {
        let script = script(Shell::Bash, example());
        let state = "an_example__subcmd__fault__subcmd__remove";
        assert!(script.contains(&format!("cmd=\"{state}\"\n")), "{script}");
        assert!(script.contains(&format!("        {state})\n")), "{script}");
        let last = script.lines().filter(|line| line.contains("complete -F"));
        for line in last {
            assert!(line.starts_with("    complete -F _an_example "), "{line}");
            assert!(line.ends_with(" an-example"), "{line}");
        }
    }

    #[test]
    fn the_manual_has_a_page_for_each_subcommand() {
        let folder = std::env::temp_dir().join(format!("imds-manual-{}", std::process::id()));
        write(example(), &folder).unwrap();
        let mut pages: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        assert_eq!(
            pages,
            [
                "an-example-fault-remove.1",
                "an-example-fault.1",
                "an-example.1"
            ]
        );
        let page = fs::read_to_string(folder.join("an-example-fault-remove.1")).unwrap();
        assert!(page.contains("\"an-example 1.2.3\""), "{page}");
        fs::remove_dir_all(&folder).unwrap();

        let file = std::env::temp_dir().join(format!("imds-manual-file-{}", std::process::id()));
        fs::write(&file, "").unwrap();
        let error = write(example(), &file).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write the manual into "),
            "{error}"
        );
        fs::remove_file(&file).unwrap();
    }
}
