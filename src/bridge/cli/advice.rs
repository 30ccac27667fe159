//! What somebody who sets up the bridge can do about a failure of Telegram.

use crate::bridge::telegram::Failure;

/// What to do, in a sentence or two.
pub(super) fn what_to_do(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unauthorized(_) => {
            "the token is not that of a bot; write the one that @BotFather gives (/mybots, API Token) into telegram.token_file"
        }
        Failure::Destination(_) => {
            "see that chat_id is right, and let the bot in: add it to the group, or to the channel as one who may post; in a private chat press Start, or unblock it"
        }
        Failure::Thread(_) => {
            "see that `thread` is the number of a topic that is there and open; leave it out for the general one"
        }
        Failure::Migrated { .. } => {
            "the group has become a supergroup; the bridge follows by itself, and chat_id is better changed to the new number"
        }
        Failure::Transient(_) | Failure::Ambiguous(_) => {
            "see that this machine reaches Telegram (telegram.api_url, telegram.proxy or proxy_file, its DNS and firewall); where Telegram itself answers with an error, try it again later"
        }
        Failure::Rate { .. } => "too much was sent; try it again after that time",
        Failure::Content(_) => "Telegram does not take this text; try another one",
        Failure::ReplyGone(_) | Failure::NotModified | Failure::EditGone(_) => "try it again",
        Failure::Conflict(_) => "another program asks for the updates of this bot; give the bridge a bot of its own",
    }
}
