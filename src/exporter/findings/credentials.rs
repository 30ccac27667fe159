//! What is wrong with the tokens of an instance.

use super::wording::duration;
use super::{Code, Finding, Severity};
use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::{Label, Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

pub(super) fn findings(snapshot: &Snapshot, now: Timestamp) -> Vec<Finding> {
    let Reading::Known(credentials) = &snapshot.credentials else {
        return Vec::new();
    };
    let limit = snapshot.thresholds.get(Threshold::TokenExpiry);
    credentials.tokens.iter().filter_map(|(name, token)| of_token(name, token, limit, now)).collect()
}

fn of_token(name: &Label, token: &Token, limit: Option<f64>, now: Timestamp) -> Option<Finding> {
    let warning = |code, sentence| Some(Finding::new(code, Severity::Warning, sentence).about(name));
    let expiry = token.expiry.known().copied();
    match token.present {
        Reading::Known(true) => {}
        Reading::Known(false) if token.is_expected => {
            return warning(Code::TokenMissing, format!("The token \"{name}\" is not there"));
        }
        Reading::Known(false) | Reading::Absent | Reading::Unknown(_) => return None,
    }
    if token.valid == Reading::Known(false) {
        let expired = expiry.filter(|expiry| now.seconds_since(*expiry) >= 0.0);
        let sentence = match expired {
            Some(expiry) => {
                format!("The token \"{name}\" is not valid: it expired {} ago", duration(now.seconds_since(expiry)))
            }
            None => format!("The token \"{name}\" is not valid"),
        };
        return warning(Code::TokenInvalid, sentence).map(|finding| finding.since(expired));
    }
    let left = expiry?.seconds_since(now);
    let is_near = token.refreshable == Reading::Known(false) && left > 0.0 && left < limit?;
    let sentence = format!("The token \"{name}\" expires in {}, and can not be refreshed", duration(left));
    if is_near { warning(Code::TokenExpiring, sentence) } else { None }
}
