//! `--completions`: scripts that work from a file in the shell's own folder, and by
//! `source <(when-ready --completions SHELL)`.

use std::fmt::Write as _;

use crate::config::Shell;
use crate::options::{OPTIONS, Opt, Takes};
use crate::targets::registry::forms;
use crate::targets::shared::kind::Form;

/// `--completions`
pub(crate) fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// The names under which an option is typed.
fn names(option: &Opt) -> Vec<&'static str> {
    option.short.into_iter().chain([option.flag]).collect()
}

/// How a target can begin.
fn schemes() -> String {
    forms().flat_map(Form::schemes).collect::<Vec<_>>().join(" ")
}

fn bash() -> String {
    let mut cases = String::new();
    for option in OPTIONS {
        let reply = match option.takes {
            Takes::Nothing => continue,
            Takes::File => "COMPREPLY=($(compgen -f -- \"$word\"))".to_owned(),
            Takes::OneOf(words) => format!("COMPREPLY=($(compgen -W '{}' -- \"$word\"))", words.join(" ")),
            Takes::Value(_) => "COMPREPLY=()".to_owned(),
        };
        let _ = writeln!(cases, "        {}) {reply}; return ;;", names(option).join("|"));
    }
    let all: Vec<&str> = OPTIONS.iter().flat_map(|option| names(option)).collect();
    format!(
        "_when_ready() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} i\n    \
         for ((i = 1; i < COMP_CWORD; i++)); do\n        \
         if [[ ${{COMP_WORDS[i]}} == -- ]]; then COMPREPLY=($(compgen -c -f -- \"$word\")); return; fi\n    done\n    \
         case $before in\n{cases}    esac\n    \
         if [[ $word == -* ]]; then\n        COMPREPLY=($(compgen -W '{}' -- \"$word\"))\n    \
         else\n        compopt -o nospace 2>/dev/null\n        COMPREPLY=($(compgen -W '{}' -- \"$word\"))\n    fi\n}}\n\
         complete -F _when_ready when-ready\n",
        all.join(" "),
        schemes()
    )
}

fn zsh() -> String {
    let mut out = format!(
        "#compdef when-ready\n\n_when-ready_targets() {{\n    \
         _alternative 'schemes:kind of target:compadd -S \"\" -- {}' 'hosts:host:_hosts'\n}}\n\n\
         _when-ready() {{\n    local i\n    \
         for ((i = 2; i < CURRENT; i++)); do\n        if [[ ${{words[i]}} == -- ]]; then\n            \
         shift $i words\n            (( CURRENT -= i ))\n            _normal\n            return\n        fi\n    done\n    \
         _arguments -s \\\n",
        schemes()
    );
    for option in OPTIONS {
        let help = option.help.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:");
        let value = match option.takes {
            Takes::Nothing => String::new(),
            Takes::File => ":file:_files".to_owned(),
            Takes::OneOf(words) => format!(":value:({})", words.join(" ")),
            Takes::Value(word) => format!(":{}:", word.replace('\'', "").replace(':', "\\:")),
        };
        for name in names(option) {
            let _ = writeln!(out, "        '*{name}[{help}]{value}' \\");
        }
    }
    // From a file the function is being loaded, and runs; sourced, it only says what it completes.
    out.push_str(
        "        '*:target:_when-ready_targets'\n}\n\n\
         if [[ ${funcstack[1]} == _when-ready ]]; then\n    _when-ready \"$@\"\nelse\n    compdef _when-ready when-ready\nfi\n",
    );
    out
}

fn fish() -> String {
    let mut out = format!(
        "function __when_ready_command\n    contains -- -- (commandline -opc)\nend\n\n\
         function __when_ready_complete_command\n    set -l words (commandline -opc)\n    \
         set -l at (contains -i -- -- $words)\n    \
         complete -C (string join ' ' -- (string escape -- $words[(math $at + 1)..-1]) (commandline -ct))\nend\n\n\
         complete -c when-ready -f\n\
         complete -c when-ready -n __when_ready_command -a '(__when_ready_complete_command)'\n\
         complete -c when-ready -n 'not __when_ready_command' -a '{}'\n",
        schemes()
    );
    for option in OPTIONS {
        let short = option.short.map_or_else(String::new, |short| format!(" -s {}", &short[1..]));
        let value = match option.takes {
            Takes::Nothing => String::new(),
            Takes::File => " -r -F".to_owned(),
            Takes::OneOf(words) => format!(" -x -a '{}'", words.join(" ")),
            Takes::Value(_) => " -x".to_owned(),
        };
        let help = option.help.replace('\'', "\\'");
        let _ = writeln!(
            out,
            "complete -c when-ready -n 'not __when_ready_command'{short} -l {}{value} -d '{help}'",
            option.long()
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_and_scheme_is_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = completions(shell);
            assert!(forms().flat_map(Form::schemes).all(|scheme| script.contains(scheme)));
            for option in OPTIONS {
                let typed = if shell == Shell::Fish { format!("-l {}", option.long()) } else { option.flag.to_owned() };
                assert!(script.contains(&typed), "{typed}");
            }
        }
    }
}
