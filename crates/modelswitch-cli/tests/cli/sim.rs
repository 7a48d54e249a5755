use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use super::support::Place;

/// A simulator that is running, and the folder that it runs in; it is killed when the test is over.
struct Running {
    child: Child,
    _place: Place,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts it and reads what it says, up to where it waits.
fn start(arguments: &[&str]) -> (Running, String) {
    let place = Place::empty();
    let mut command = place.command(&[&["sim", "--address", "127.0.0.1:0"], arguments].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("Ctrl-C stops it") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    (Running { child, _place: place }, said)
}

fn word_after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).unwrap().1.split_whitespace().next().unwrap()
}

#[test]
fn what_it_says_to_set_makes_chat_work() {
    let (_running, said) = start(&["--chunk-delay", "1ms", "--keep-alives", "2"]);
    let place = Place::empty()
        .variable("DEEPSEEK_BASE_URL", word_after(&said, "DEEPSEEK_BASE_URL="))
        .variable("DEEPSEEK_API_KEY", word_after(&said, "DEEPSEEK_API_KEY="));
    let outcome = place.run(&["chat", "Hello"]).ends(0);
    assert!(outcome.out.contains("[simulated deepseek-flash]"), "{outcome:#?}");
    assert!(said.contains("curl "), "{said}");
}

#[test]
fn the_plain_one_works_likewise_and_takes_any_key_when_told_to() {
    let (_running, said) = start(&["--personality", "openai", "--any-key"]);
    let place = Place::empty()
        .variable("OPENAI_BASE_URL", word_after(&said, "OPENAI_BASE_URL="))
        .variable("OPENAI_API_KEY", "sk-whatever");
    let model = word_after(&said, "--model ").to_owned();
    let outcome = place.run(&["chat", "--model", &model, "Hello"]).ends(0);
    assert!(outcome.out.contains("[simulated sim-small]"), "{outcome:#?}");
}

#[test]
fn every_service_of_the_simulator_is_offered_by_name_and_works_as_it_says() {
    let help = Place::empty().run(&["sim", "--help"]).ends(0);
    let outcome = Place::empty().run(&["sim", "--personality", "nobody"]).ends(2);
    for name in ["deepseek", "openai", "groq", "mistral", "azure-deployments", "moonshot-cn", "zhipu"] {
        assert!(help.out.contains(name) && outcome.err.contains(name), "{name}: {help:#?} {outcome:#?}");
    }
    for (name, at, with) in [
        ("groq", "GROQ_BASE_URL", "GROQ_API_KEY"),
        ("mistral", "MISTRAL_BASE_URL", "MISTRAL_API_KEY"),
        ("moonshot-cn", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
    ] {
        let (_running, said) = start(&["--personality", name, "--chunk-delay", "1ms"]);
        let place = Place::empty()
            .variable(at, word_after(&said, &format!("{at}=")))
            .variable(with, word_after(&said, &format!("{with}=")));
        let model = word_after(&said, "--model ").to_owned();
        let outcome = place.run(&["chat", "--model", &model, "Hello"]).ends(0);
        assert!(outcome.out.contains("[simulated sim-small]"), "{name}: {outcome:#?}");
    }
}

#[test]
fn several_keys_are_taken_and_none_of_them_is_shown() {
    let (_running, said) = start(&["--key", "sk-canary-1", "--key", "sk-canary-2"]);
    assert!(!said.contains("canary") && said.contains("those you gave"), "{said}");
    for (key, ends) in [("sk-canary-1", 0), ("sk-canary-2", 0), ("sk-canary-3", 1)] {
        let url = word_after(&said, "DEEPSEEK_BASE_URL=");
        let place = Place::empty().variable("DEEPSEEK_BASE_URL", url).variable("DEEPSEEK_API_KEY", key);
        place.run(&["chat", "Hello"]).ends(ends);
    }
}

#[test]
fn a_key_of_your_own_is_not_shown() {
    let (_running, said) = start(&["--key", "sk-canary-7f3a9c51e2"]);
    assert!(!said.contains("canary") && said.contains("the one you gave"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_good_order() {
    let (mut running, _) = start(&[]);
    let kill = std::process::Command::new("kill").arg(running.child.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn an_address_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = Place::empty().run(&["sim", "--address", &address]).ends(1);
    assert!(outcome.err.contains(&address) && outcome.err.contains("--address"), "{outcome:#?}");
}

#[test]
fn an_account_can_be_poor() {
    let (_running, said) = start(&["--balance", "USD", "0.00"]);
    let place = Place::empty()
        .variable("DEEPSEEK_BASE_URL", word_after(&said, "DEEPSEEK_BASE_URL="))
        .variable("DEEPSEEK_API_KEY", word_after(&said, "DEEPSEEK_API_KEY="));
    place.run(&["balance"]).ends(1);
    let outcome = place.run(&["chat", "Hello"]).ends(1);
    assert!(outcome.err.contains("top_up"), "{outcome:#?}");
    Place::empty().run(&["sim", "--balance", "USD", "much"]).ends(2);
}
