//! The three kinds of a reading, each unlike the others: a value, a quiet dash, a chip with the reason.

use maud::{Markup, html};

use crate::exporter::snapshot::{Reading, Reason};

/// A reading with its value as `show` has it.
pub(super) fn reading<T>(reading: &Reading<T>, show: impl FnOnce(&T) -> Markup) -> Markup {
    match reading {
        Reading::Known(value) => show(value),
        Reading::Absent => absent(),
        Reading::Unknown(reason) => unknown("", *reason),
    }
}

/// Several facts of one thing, those that are absent left out: a stopped gateway has no heartbeat to speak of.
#[derive(Default)]
pub(super) struct Facts(Vec<Fact>);

enum Fact {
    Known(Markup),
    Unknown(String, Reason),
}

impl Facts {
    /// A fact that is known as it is.
    pub(super) fn say(mut self, fact: impl maud::Render) -> Facts {
        self.0.push(Fact::Known(html! { (fact) }));
        self
    }

    /// A fact that is only said where it is so.
    pub(super) fn say_if(self, is_so: bool, fact: impl maud::Render) -> Facts {
        if is_so { self.say(fact) } else { self }
    }

    /// A reading; `name` says what it is where it is unknown.
    pub(super) fn read<T>(mut self, name: &str, reading: &Reading<T>, show: impl FnOnce(&T) -> Markup) -> Facts {
        match reading {
            Reading::Known(value) => self.say(show(value)),
            Reading::Absent => self,
            Reading::Unknown(reason) => {
                self.0.push(Fact::Unknown(name.to_owned(), *reason));
                self
            }
        }
    }

    /// All of them in a row; a dash where there is none, and one chip where all are unknown for one reason.
    pub(super) fn in_a_row(self) -> Markup {
        match self.0.as_slice() {
            [] => absent(),
            [Fact::Unknown(_, reason), others @ ..]
                if !others.is_empty()
                    && others.iter().all(|fact| matches!(fact, Fact::Unknown(_, other) if other == reason)) =>
            {
                unknown("", *reason)
            }
            facts => html! {
                span class="facts" {
                    @for fact in facts {
                        span class="fact" {
                            @match fact {
                                Fact::Known(fact) => (fact),
                                Fact::Unknown(name, reason) => (unknown(name, *reason)),
                            }
                        }
                        " "
                    }
                }
            },
        }
    }
}

pub(super) fn absent() -> Markup {
    html! { span class="absent" title="Not configured, or rightly not there." { "–" span class="hidden" { " none" } } }
}

/// What could not be told, and why; `name` says what, where that is not clear from where it stands.
pub(super) fn unknown(name: &str, reason: Reason) -> Markup {
    html! {
        span class="unknown" title=(explained(reason)) {
            @if !name.is_empty() { (name) " " }
            "unknown · " (reason.as_str().replace('_', " "))
        }
    }
}

/// What a reason means, in a sentence.
pub(super) fn explained(reason: Reason) -> &'static str {
    match reason {
        Reason::Timeout => "It was looked at, and took longer than it may.",
        Reason::Permission => "It was looked at, and the operating system refused.",
        Reason::NotFound => "What should be looked at is not there.",
        Reason::Parse => "Its content is damaged or of the wrong shape.",
        Reason::Io => "The operating system failed to read it.",
        Reason::Bus => "D-Bus failed.",
        Reason::Http => "HTTP failed.",
        Reason::Stale => "What is there does not say how things are now.",
        Reason::Unsupported => "It is of a kind or version that is not supported.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_of_a_reading_look_unlike_each_other() {
        let shown = |value: Reading<u64>| reading(&value, |value| html! { (value) }).into_string();
        assert_eq!(shown(Reading::Known(0)), "0");
        assert!(shown(Reading::Absent).starts_with(r#"<span class="absent""#));
        let unknown = shown(Reading::Unknown(Reason::NotFound));
        assert!(unknown.starts_with(r#"<span class="unknown" title="What should be looked at is not there.">"#));
        assert!(unknown.ends_with("unknown · not found</span>"));
    }

    #[test]
    fn a_fact_that_is_absent_is_not_said_and_one_that_is_unknown_is() {
        let facts = |value: Reading<u64>| Facts::default().read("heartbeat", &value, |value| html! { (value) });
        assert!(facts(Reading::Absent).in_a_row().into_string().contains("class=\"absent\""));
        assert!(facts(Reading::Unknown(Reason::Io)).in_a_row().into_string().contains("heartbeat unknown · io"));
        let both = facts(Reading::Known(7)).read("", &Reading::<u64>::Absent, |_| html! { "never" });
        let two =
            facts(Reading::Unknown(Reason::Io)).read("agents", &Reading::<u64>::Unknown(Reason::Io), |_| html! {});
        assert!(two.in_a_row().into_string().ends_with(">unknown · io</span>"));
        assert_eq!(both.in_a_row().into_string(), r#"<span class="facts"><span class="fact">7</span> </span>"#);
    }
}
