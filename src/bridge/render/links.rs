//! Where the links in messages lead: only to what a browser opens, and where people get to.

use reqwest::Url;
use serde::Serialize;

use crate::bridge::alert::{Alert, Labels};
use crate::bridge::config::Links;

/// Telegram takes longer ones, and nobody follows them.
const LONGEST: usize = 2048;

/// The links of an alert; each may be missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct AlertLinks {
    /// What to do about it.
    pub(super) runbook: Option<String>,
    /// Its expression in Prometheus.
    pub(super) graph: Option<String>,
    /// The dashboard of its instance.
    pub(super) dashboard: Option<String>,
    /// Where it can be silenced.
    pub(super) silence: Option<String>,
}

/// The links of an alert.
pub(super) fn of(alert: &Alert, external_url: &str, links: &Links) -> AlertLinks {
    let annotation = |name: &str| alert.annotations.get(name).and_then(|url| reachable(url));
    let runbook = |name: &str| runbook(alert.annotations.get(name)?, links.runbooks.as_ref());
    AlertLinks {
        runbook: runbook("runbook_url").or_else(|| runbook("runbook")),
        graph: graph(&alert.generator_url, links.prometheus.as_ref()),
        dashboard: annotation("dashboard_url").or_else(|| dashboard(alert, links.dashboard.as_deref()?)),
        silence: silence(&alert.labels, external_url, links.alertmanager.as_ref()),
    }
}

/// A URL that a browser opens. Telegram shows a link to a host without a dot as mere text.
fn openable(url: &str) -> Option<Url> {
    let mut url = Url::parse(url.trim()).ok()?;
    // A name and a password are for whoever they were given to, and hide where the link leads. It fails where none can be.
    let _ = (url.set_username(""), url.set_password(None));
    let is_openable = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| host.contains('.'))
        && url.as_str().len() <= LONGEST;
    is_openable.then_some(url)
}

/// One that leads somewhere else than to the device that it is read on.
fn reachable(url: &str) -> Option<String> {
    let url = openable(url)?;
    let is_loopback =
        url.host_str().and_then(|host| host.parse::<std::net::Ipv4Addr>().ok()).is_some_and(|ip| ip.is_loopback());
    (!is_loopback).then(|| url.into())
}

/// Wherever it leads. What has another scheme may have a path that does not begin with a slash, and would lengthen the
/// name of the host that it is put behind.
fn web_url(url: &str) -> Option<Url> {
    Url::parse(url.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Of several folders of this name the last one is that of the runbooks. What is written elsewhere stays where it is.
fn runbook(url: &str, base: Option<&Url>) -> Option<String> {
    let Some(base) = base else { return reachable(url) };
    let moved = web_url(url).and_then(|url| {
        let path = url.path().rfind("/runbooks/").and_then(|at| url.path().get(at..))?;
        let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
        openable(&format!("{}{path}{fragment}", base.as_str().trim_end_matches('/')))
    });
    moved.map(Into::into).or_else(|| reachable(url))
}

fn graph(generator: &str, base: Option<&Url>) -> Option<String> {
    let Some(base) = base else { return reachable(generator) };
    let generator = web_url(generator)?;
    // What is before `/graph` is where Prometheus believes to be.
    let path = generator.path().rfind("/graph").and_then(|at| generator.path().get(at..)).unwrap_or(generator.path());
    let query = generator.query().map(|query| format!("?{query}")).unwrap_or_default();
    openable(&format!("{}{path}{query}", base.as_str().trim_end_matches('/'))).map(Into::into)
}

fn dashboard(alert: &Alert, pattern: &str) -> Option<String> {
    let instance = alert.instance();
    if instance.is_none() && pattern.contains("{instance}") {
        return None;
    }
    openable(&pattern.replace("{instance}", &encoded(&instance.unwrap_or_default()))).map(Into::into)
}

fn silence(labels: &Labels, external_url: &str, base: Option<&Url>) -> Option<String> {
    let base = match base {
        Some(base) => base.as_str().to_owned(),
        None => reachable(external_url)?,
    };
    let matchers: Vec<_> = labels
        .iter()
        .map(|(name, value)| {
            format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        })
        .collect();
    if matchers.is_empty() {
        return None;
    }
    let filter = encoded(&format!("{{{}}}", matchers.join(", ")));
    openable(&format!("{}/#/silences/new?filter={filter}", base.trim_end_matches('/'))).map(Into::into)
}

/// Fit for a part of a URL.
fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::alert::Status;
    use crate::system::time::Timestamp;

    fn alert(generator_url: &str, annotations: &[(&str, &str)]) -> Alert {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        Alert {
            fingerprint: "f".to_owned(),
            status: Status::Firing,
            starts_at: Timestamp::LATEST,
            ends_at: None,
            labels: owned(&[("alertname", "A \"b\""), ("instance", "Vijay:9119")]),
            annotations: owned(annotations),
            generator_url: generator_url.to_owned(),
        }
    }

    #[test]
    fn links_lead_where_people_get_to() {
        let links = Links {
            alertmanager: Some("https://alerts.example.org/am/".parse().unwrap()),
            prometheus: Some("https://prometheus.example.org/".parse().unwrap()),
            dashboard: Some("https://grafana.example.org/d/hermes?var-instance={instance}".to_owned()),
            runbooks: None,
        };
        let alert = alert(
            "http://box:9090/prom/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            &[("runbook_url", "https://r.example.org/a")],
        );
        let found = of(&alert, "http://box:9093", &links);
        assert_eq!(found.runbook.as_deref(), Some("https://r.example.org/a"));
        assert_eq!(found.graph.as_deref(), Some("https://prometheus.example.org/graph?g0.expr=up+%3D%3D+0&g0.tab=1"));
        assert_eq!(found.dashboard.as_deref(), Some("https://grafana.example.org/d/hermes?var-instance=vijay"));
        assert_eq!(
            found.silence.as_deref(),
            Some(
                "https://alerts.example.org/am/#/silences/new?filter=%7Balertname%3D%22A%20%5C%22b%5C%22%22%2C%20instance%3D%22Vijay%3A9119%22%7D"
            )
        );
    }

    #[test]
    fn runbooks_of_this_machine_lead_to_where_people_reach_it() {
        let links = Links { runbooks: Some("https://vm.example.ts.net/hermes/".parse().unwrap()), ..Links::default() };
        for (written, leads_to) in [
            (
                "http://127.0.0.1:10119/runbooks/gateway_down",
                Some("https://vm.example.ts.net/hermes/runbooks/gateway_down"),
            ),
            ("http://hermes.example:10119/runbooks/a#mend", Some("https://vm.example.ts.net/hermes/runbooks/a#mend")),
            ("http://hermes-exporter:10119/runbooks/a", Some("https://vm.example.ts.net/hermes/runbooks/a")),
            ("http://127.0.0.1/runbooks/x/runbooks/a", Some("https://vm.example.ts.net/hermes/runbooks/a")),
            // Those of somebody else are elsewhere.
            ("https://wiki.example.org/pages/disk-full", Some("https://wiki.example.org/pages/disk-full")),
            ("https://wiki.example.org/?page=/runbooks/a", Some("https://wiki.example.org/?page=/runbooks/a")),
            ("http://127.0.0.1:8080/wiki", None),
            ("http://box:10119/wiki", None),
            ("javascript:/runbooks/a", None),
            ("/runbooks/a", None),
            ("", None),
        ] {
            for name in ["runbook_url", "runbook"] {
                let found = of(&alert("", &[(name, written)]), "", &links).runbook;
                assert_eq!(found.as_deref(), leads_to, "{name} {written}");
            }
        }
        let found = of(&alert("", &[("runbook_url", "http://127.0.0.1:10119/runbooks/a")]), "", &Links::default());
        assert_eq!(found.runbook, None, "on a phone that is the phone");
    }

    #[test]
    fn what_leads_nowhere_is_left_out() {
        for url in [
            "javascript:alert(1)",
            "tg://resolve?domain=x",
            "ftp://a.b/c",
            "http://box:9090/graph",
            "http://127.0.0.1:9090/graph",
            "",
            "/graph",
        ] {
            let found = of(&alert(url, &[("runbook_url", url), ("dashboard_url", url)]), url, &Links::default());
            assert_eq!(found, AlertLinks::default(), "{url}");
        }
        let links = Links { prometheus: Some("https://prometheus.example.org".parse().unwrap()), ..Links::default() };
        for url in
            ["javascript:.evil.example/x", "mailto:@evil.example/x", "data:text/html,x", "//evil.example/graph", ""]
        {
            assert_eq!(of(&alert(url, &[]), "", &links).graph, None, "{url}");
        }
        let found = of(&alert("", &[("runbook_url", "https://uma:secret@r.example.org/a")]), "", &links);
        assert_eq!(found.runbook.as_deref(), Some("https://r.example.org/a"));
        let found =
            of(&alert("http://10.0.0.5:9090/graph?g0.expr=up", &[]), "https://am.example.org", &Links::default());
        assert!(found.graph.is_some() && found.silence.is_some());
    }
}
