//! What of the page is asked for: `?severity=` and `?instance=`, which links and a form carry from look to look.

use super::encoded;
use crate::exporter::findings::{Findings, Severity};

/// What of the page is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub(super) show: Show,
    /// A part of an instance's name; empty for all.
    pub(super) instance: String,
    /// A severity that there is not.
    pub(super) not_understood: Option<String>,
}

/// Which instances and findings are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Show {
    #[default]
    Everything,
    /// Findings of this severity, and instances that have one.
    Severity(Severity),
    /// Instances of which something could not be told.
    Unknown,
    /// Instances that are healthy.
    Healthy,
}

impl Show {
    /// Every choice but that of everything, in the order in which they are offered.
    pub(super) const CHOICES: [Show; 5] = [
        Show::Severity(Severity::Critical),
        Show::Severity(Severity::Warning),
        Show::Severity(Severity::Info),
        Show::Unknown,
        Show::Healthy,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Show::Everything => "",
            Show::Severity(severity) => severity.as_str(),
            Show::Unknown => "unknown",
            Show::Healthy => "healthy",
        }
    }

    /// Whether an instance, or the machine, of which this was found is shown.
    pub(super) fn has(self, findings: &Findings) -> bool {
        match self {
            Show::Everything => true,
            Show::Severity(severity) => findings.count(severity) > 0,
            Show::Unknown => !findings.unknown.is_empty(),
            Show::Healthy => findings.health() == crate::exporter::findings::Health::Healthy,
        }
    }

    /// Whether findings of a severity are shown.
    pub(super) fn has_severity(self, severity: Severity) -> bool {
        matches!(self, Show::Everything) || self == Show::Severity(severity)
    }
}

impl Filter {
    /// What the parameters of a query ask for. Those of others are left alone, and the last of several counts.
    pub fn of_query(pairs: &[(String, String)]) -> Filter {
        let mut filter = Filter::default();
        for (key, value) in pairs {
            match key.as_str() {
                "severity" => match Show::CHOICES.into_iter().find(|choice| choice.as_str() == value) {
                    Some(show) => filter.show = show,
                    None if value.is_empty() => filter.show = Show::Everything,
                    None => filter.not_understood = Some(value.chars().take(40).collect()),
                },
                "instance" => filter.instance = value.trim().chars().take(100).collect(),
                _ => {}
            }
        }
        filter
    }

    /// The address of the page that shows something else of the same instances.
    pub(super) fn showing(&self, show: Show) -> String {
        address(show, &self.instance)
    }

    pub(super) fn is_everything(&self) -> bool {
        self.show == Show::Everything && self.instance.is_empty()
    }

    /// Which of `names` are asked for: the one that is called so, else all that have it in their name.
    pub(super) fn asks_for<'a>(&'a self, names: impl Iterator<Item = &'a str>) -> impl Fn(&str) -> bool + 'a {
        let mut names = names;
        let is_one = !self.instance.is_empty() && names.any(|name| name == self.instance);
        let part = self.instance.to_lowercase();
        move |name| if is_one { name == self.instance } else { name.to_lowercase().contains(&part) }
    }
}

/// The address of the page about one instance.
pub(super) fn of_instance(name: &str) -> String {
    address(Show::Everything, name)
}

fn address(show: Show, instance: &str) -> String {
    let severity = (show != Show::Everything).then(|| format!("severity={}", show.as_str()));
    let instance = (!instance.is_empty()).then(|| format!("instance={}", encoded(instance)));
    let query: Vec<_> = severity.into_iter().chain(instance).collect();
    if query.is_empty() { "/".to_owned() } else { format!("/?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pairs: &[(&str, &str)]) -> Filter {
        Filter::of_query(&pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_asked_for_is_kept_in_every_link() {
        let both = filter(&[("severity", "warning"), ("instance", " a b&c "), ("utm", "x")]);
        assert_eq!(both.show, Show::Severity(Severity::Warning));
        assert_eq!(both.showing(Show::Unknown), "/?severity=unknown&instance=a%20b%26c");
        assert_eq!(both.showing(Show::Everything), "/?instance=a%20b%26c");
        assert_eq!(Filter::default().showing(Show::Everything), "/");
    }

    #[test]
    fn a_severity_that_there_is_not_shows_everything_and_is_said() {
        let odd = filter(&[("severity", "<b>")]);
        assert_eq!((odd.show, odd.not_understood.as_deref()), (Show::Everything, Some("<b>")));
        assert_eq!(filter(&[("severity", "")]), Filter::default());
    }

    #[test]
    fn a_whole_name_means_the_one_and_a_part_means_all_that_have_it() {
        let names = ["vijay", "vijay-2", "Bheem"];
        let shown = |typed: &str| {
            let filter = filter(&[("instance", typed)]);
            let asks_for = filter.asks_for(names.into_iter());
            names.into_iter().filter(|name| asks_for(name)).collect::<Vec<_>>()
        };
        assert_eq!(shown("vijay"), ["vijay"]);
        assert_eq!(shown("VIJ"), ["vijay", "vijay-2"]);
        assert_eq!(shown("bhee"), ["Bheem"]);
        assert_eq!(shown(""), names);
        assert!(shown("nobody").is_empty());
    }
}
