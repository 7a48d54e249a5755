//! The questions of `init`. An empty answer takes what stands in brackets.

use std::io::{self, BufRead, Write};

use super::file::{Answers, Provider, is_no_variable, known};
use crate::error::Failure;

/// Asks until there is a provider, and for one alias.
pub(super) fn ask(input: &mut impl BufRead, output: &mut impl Write) -> Result<Answers, Failure> {
    writeln!(output, "Providers that are known: {}; or a name of your own.", known().join(", "))?;
    let name = answer(input, output, "Provider", Some("deepseek"))?;
    let mut provider = Provider { name, ..Provider::default() };
    if provider.needs_url() {
        provider.base_url =
            Some(answer(input, output, "Its base URL, such as https://llm.example.com/v1", None)?);
    }
    let usual = provider.usual_variable();
    let question = "The variable that holds its key (not the key)";
    provider.key_env = loop {
        let variable = match &usual {
            Some(usual) => answer(input, output, question, Some(usual))?,
            None => answer(input, output, question, Some("none"))?,
        };
        if !is_no_variable(&variable) {
            break Some(variable).filter(|variable| variable != "none");
        }
        writeln!(output, "That looks like a key itself. A key never stands in the file: name a variable.")?;
    };
    let alias = answer(input, output, "An alias for one of its models, such as fast", Some("none"))?;
    let mut aliases = Vec::new();
    if alias != "none" {
        let target = answer(input, output, &format!("The model that `{alias}` stands for"), None)?;
        let prefix = format!("{}/", provider.name);
        let target = if target.starts_with(&prefix) { target } else { format!("{prefix}{target}") };
        aliases.push((alias, target));
    }
    Ok(Answers { providers: vec![provider], aliases, default: None })
}

fn answer(
    input: &mut impl BufRead,
    output: &mut impl Write,
    question: &str,
    usual: Option<&str>,
) -> Result<String, Failure> {
    loop {
        let shown = usual.map(|usual| format!(" [{usual}]")).unwrap_or_default();
        write!(output, "{question}{shown}: ")?;
        output.flush()?;
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match (line.trim(), usual) {
            ("", Some(usual)) => return Ok(usual.to_owned()),
            ("", None) => {}
            (text, _) => return Ok(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(input: &str) -> (Answers, String) {
        let mut output = Vec::new();
        let answers = ask(&mut input.as_bytes(), &mut output).unwrap();
        (answers, String::from_utf8(output).unwrap())
    }

    #[test]
    fn empty_answers_take_the_usual() {
        let (answers, _) = asked("\n\n\n");
        assert_eq!(answers.providers[0].name, "deepseek");
        assert_eq!(answers.providers[0].key_env.as_deref(), Some("DEEPSEEK_API_KEY"));
        assert!(answers.aliases.is_empty());
    }

    #[test]
    fn a_service_of_ones_own_is_asked_for_its_place_and_a_key_is_refused() {
        let (answers, output) =
            asked("mine\n\nhttps://llm.example.com/v1\nsk-canary0123456789\nMINE\nfast\nlarge\n");
        let provider = &answers.providers[0];
        assert_eq!(provider.base_url.as_deref(), Some("https://llm.example.com/v1"));
        assert_eq!(provider.key_env.as_deref(), Some("MINE"));
        assert_eq!(answers.aliases, [("fast".to_owned(), "mine/large".to_owned())]);
        assert!(output.contains("never stands in the file") && !output.contains("canary"), "{output}");
    }
}
