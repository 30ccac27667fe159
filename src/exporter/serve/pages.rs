//! The routes for people: the status page, the runbooks, and what pages load.
//!
//! What can be opened and done comes from the configuration in force; this is where it is handed to the page, which
//! knows nothing of configurations.

use axum::extract::{Path, Query, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;

use super::{ENCODED_AT_ONCE, Service, deadline, uri_of};
use crate::exporter::collect::engine::Selection;
use crate::exporter::endpoint::Endpoint;
use crate::exporter::expose::page::commands::{Door, GatewayUnit, InstanceLinks, Links, Way};
use crate::exporter::expose::page::document::CONTENT_SECURITY_POLICY;
use crate::exporter::expose::page::filter::Filter;
use crate::exporter::expose::page::{StatusPage, assets};
use crate::exporter::expose::runbooks;
use crate::exporter::findings::FleetFindings;
use crate::exporter::instance::{Instance, UnitName};
use crate::exporter::snapshot::endpoints::EndpointKind;
use crate::system::host_names;

/// The role of the units that run a gateway.
const GATEWAY: &str = "gateway";

pub(super) async fn status(State(service): State<Service>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let in_force = service.reloader.in_force();
    let fleet = in_force.crew.look(&Selection::default(), deadline(&headers)).await;
    // What can not be read asks for nothing.
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri_of(query.as_deref().unwrap_or_default()));
    let filter = Filter::of_query(&pairs.map(|Query(pairs)| pairs).unwrap_or_default());
    let ssh_host = in_force.ssh_host.clone().or_else(|| host_asked(&headers)).unwrap_or_else(host_names::own);
    let links = Links {
        telemetry_path: service.telemetry_path.to_string(),
        ssh_host,
        // What its report tells of is not reached from here.
        instances: in_force.crew.instances().map(|instance| (instance.name.clone(), links_of(instance))).collect(),
    };
    let service_facts = service.reloader.facts();
    let outdated_config_of = (!service_facts.is_config_loaded).then_some(service_facts.config_loaded_at);
    let render = move || {
        let findings = FleetFindings::of(&fleet);
        let page = StatusPage {
            fleet: &fleet,
            findings: &findings,
            links: &links,
            filter: &filter,
            outdated_config_of,
            now: fleet.taken_at,
        };
        page.render()
    };
    let rendered = if in_force.crew.instance_names().count() <= ENCODED_AT_ONCE {
        Ok(render())
    } else {
        tokio::task::spawn_blocking(render).await
    };
    match rendered {
        Ok(markup) => html(markup),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made\n").into_response(),
    }
}

pub(super) async fn runbook_index(State(service): State<Service>) -> Response {
    html(runbooks::index(&service.telemetry_path))
}

pub(super) async fn to_runbook_index() -> Redirect {
    Redirect::permanent("/runbooks/")
}

pub(super) async fn runbook(State(service): State<Service>, Path(name): Path<String>) -> Response {
    match runbooks::page(&name, &service.telemetry_path) {
        Some(page) => html(page),
        None => (StatusCode::NOT_FOUND, format!("there is no runbook called {name:?}; /runbooks/ lists them\n"))
            .into_response(),
    }
}

/// Who asks with the version that is served may keep it for ever; who asks without may not.
pub(super) async fn asset(Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let Some(asset) = assets::named(&name) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let is_of_version = query.is_some_and(|query| query == format!("v={}", asset.version()));
    let caching = if is_of_version { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, caching),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, asset.content).into_response()
}

fn html(markup: Markup) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, markup.into_string()).into_response()
}

/// The name by which the page was asked for, where it leads to this machine from another one.
fn host_asked(headers: &HeaderMap) -> Option<String> {
    let authority: axum::http::uri::Authority = headers.get(header::HOST)?.to_str().ok()?.parse().ok()?;
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host_names::is_ssh_host(host) && !host_names::is_loopback(host)).then(|| host.to_owned())
}

fn links_of(instance: &Instance) -> InstanceLinks {
    let mut doors: Vec<&Endpoint> = instance.endpoints.iter().filter(|endpoint| is_for_people(endpoint)).collect();
    doors.sort_by_key(|endpoint| endpoint.kind != EndpointKind::HermesDashboard);
    let gateway_unit = |unit: &crate::exporter::instance::UnitSpec| match &unit.unit {
        UnitName::Named(name) if unit.role == GATEWAY => Some(GatewayUnit {
            name: name.clone(),
            manager: unit.manager,
            is_expected: unit.is_expected,
            s6_scan_directory: instance.s6_scan_directory.clone(),
        }),
        // Which of those that match is meant nobody has said.
        UnitName::Named(_) | UnitName::Pattern(_) => None,
    };
    InstanceLinks {
        doors: doors.into_iter().map(door).collect(),
        gateway_units: instance.units.iter().filter_map(gateway_unit).collect(),
    }
}

/// Programs talk to the API and the webhooks; where somebody has given a link, it is for people all the same.
fn is_for_people(endpoint: &Endpoint) -> bool {
    endpoint.link.is_some() || matches!(endpoint.kind, EndpointKind::HermesDashboard | EndpointKind::Http)
}

fn door(endpoint: &Endpoint) -> Door {
    let url = &endpoint.url;
    // Behind a `?` there may be a secret.
    let path = url.path.split('?').next().unwrap_or("/").to_owned();
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let way = match &endpoint.link {
        Some(link) => Way::Direct(link.clone()),
        None if host_names::is_loopback(host) => {
            Way::Tunnel { scheme: url.scheme.as_str(), host: url.host.clone(), port: url.port, path }
        }
        None => Way::Direct(format!("{}://{}{path}", url.scheme.as_str(), url.authority())),
    };
    Door { name: endpoint.name.clone(), way }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::config::Config;

    fn links(endpoints: &str) -> InstanceLinks {
        let text = format!("instances: [{{name: a, home: /a, units: [], endpoints: [{endpoints}]}}]");
        links_of(&Config::from_text(std::path::Path::new("f"), &text).unwrap().instances[0])
    }

    #[test]
    fn the_page_was_asked_for_by_a_name_that_others_may_use() {
        let asked = |host: &str| host_asked(&HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]));
        for (host, expected) in [
            ("vm.tailnet.ts.net:10119", Some("vm.tailnet.ts.net")),
            ("10.0.0.5", Some("10.0.0.5")),
            ("[2001:db8::1]:10119", Some("2001:db8::1")),
            ("localhost:10119", None),
            ("LOCALHOST.", None),
            ("127.0.0.1:10119", None),
            ("127.8.0.1", None),
            ("[::1]:10119", None),
            ("0.0.0.0:10119", None),
            ("-oProxyCommand=x", None),
            ("a;reboot", None),
            ("", None),
        ] {
            assert_eq!(asked(host).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn an_endpoint_is_opened_by_its_link_its_address_or_through_a_tunnel() {
        let links = links(
            r#"{name: site, url: "https://hermes.example/x?key=secret", kind: http},
               {name: api, url: "http://127.0.0.1:8642/", kind: hermes-api-server},
               {name: linked, url: "http://127.0.0.1:9119/", kind: hermes-dashboard, link: "https://vm.tailnet.ts.net/"},
               {name: dashboard, url: "http://[::1]:9120/hermes", kind: hermes-dashboard}"#,
        );
        let direct = |url: &str| Way::Direct(url.to_owned());
        let tunnel = Way::Tunnel { scheme: "http", host: "[::1]".to_owned(), port: 9120, path: "/hermes".to_owned() };
        let doors: Vec<_> = links.doors.into_iter().map(|door| (door.name, door.way)).collect();
        assert_eq!(
            doors,
            [
                ("linked".to_owned(), direct("https://vm.tailnet.ts.net/")),
                ("dashboard".to_owned(), tunnel),
                ("site".to_owned(), direct("https://hermes.example/x")),
            ]
        );
    }
}
