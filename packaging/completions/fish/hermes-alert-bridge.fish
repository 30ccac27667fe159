# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_hermes_alert_bridge_global_optspecs
    string join \n config.file= web.listen-address= web.config.file= web.systemd-socket web.allow-public-without-auth log.level= log.format= h/help V/version
end

function __fish_hermes_alert_bridge_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    set -l before
    for word in $cmd
        # Neither an option nor the value of one.
        if not string match -q -- '-*' $word; and not contains -- (string sub -s 3 -- "$before")= (__fish_hermes_alert_bridge_global_optspecs)
            echo $word
            return 1
        end
        set before $word
    end
    return 0
end

function __fish_hermes_alert_bridge_using_subcommand
    set -l cmd (__fish_hermes_alert_bridge_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -l web.listen-address -d 'Listen on this address: host:port, :port for all addresses, or unix:/path/of/a/socket; may be given several times' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -l web.config.file -d 'Take TLS, passwords and client certificates from this file, in the format of Prometheus\' exporters' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -l web.systemd-socket -d 'Listen on the sockets that systemd has opened, instead of on addresses'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -l web.allow-public-without-auth -d 'Listen on a public address even where nobody is asked who they are'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -s V -l version -d 'Print version'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -f -a "serve" -d 'Take alerts over HTTP and bring them to people; what is done without a command'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -f -a "check-config" -d 'Say whether a configuration file is valid, and whether what it names can be used: exit code 0, or 64 where something is wrong, or 1 where Telegram says no'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -f -a "render" -d 'Print what each chat would be sent for a notification of Alertmanager'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -f -a "send-test" -d 'Send a message to a chat, past the queue, to see whether it arrives'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -f -a "queue" -d 'What waits to be sent, and doing something about it; also while the bridge serves'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -f -a "chats" -d 'Print how things stand with each chat'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_needs_command" -f -a "healthcheck" -d 'Ask the bridge that runs here whether it is healthy: exit code 0, or 1 with what is wrong; for a container\'s HEALTHCHECK'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -l web.listen-address -d 'Listen on this address: host:port, :port for all addresses, or unix:/path/of/a/socket; may be given several times' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -l web.config.file -d 'Take TLS, passwords and client certificates from this file, in the format of Prometheus\' exporters' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -l web.systemd-socket -d 'Listen on the sockets that systemd has opened, instead of on addresses'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -l web.allow-public-without-auth -d 'Listen on a public address even where nobody is asked who they are'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand serve" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand check-config" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand check-config" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand check-config" -l online -d 'Also ask Telegram who the bot is, and whether it may write to each chat; nothing is sent'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand render" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand render" -l payload -d 'The body of a request of Alertmanager, as JSON; `-` for standard input' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand render" -l chat -d 'What this chat would get alone' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand render" -l format -d 'In which form' -r -f -a "text\t'As it is read'
html\t'As it is sent'
json\t'For programs'"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand render" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand render" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand render" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand send-test" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand send-test" -l chat -d 'The chat, as the configuration calls it' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand send-test" -l text -d 'What to send' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand send-test" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand send-test" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand send-test" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and not __fish_seen_subcommand_from list retry drop" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and not __fish_seen_subcommand_from list retry drop" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and not __fish_seen_subcommand_from list retry drop" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and not __fish_seen_subcommand_from list retry drop" -f -a "list" -d 'Print what waits, in the order in which it is sent'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and not __fish_seen_subcommand_from list retry drop" -f -a "retry" -d 'Try again at once what waits: all of it, that for a chat, or these; not before Telegram itself allows it'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and not __fish_seen_subcommand_from list retry drop" -f -a "drop" -d 'Forget what waits: nobody will be told'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from list" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from list" -l chat -d 'What waits for this chat alone' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from list" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from list" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from retry" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from retry" -l chat -d 'What waits for this chat' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from retry" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from retry" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from drop" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from drop" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from drop" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from drop" -l yes -d 'Do it; without this it is only said what would be'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand queue; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand chats" -l config.file -d 'The configuration file' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand chats" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand chats" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand chats" -s h -l help -d 'Print help'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand healthcheck" -l web.listen-address -d 'Ask at the address that the program listens on, host:port or unix:/path/of/a/socket; 0.0.0.0 and :: are asked on this machine' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand healthcheck" -l web.config.file -d 'Ask over TLS, where the program has this file and it says so' -r -F
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand healthcheck" -l timeout -d 'Give up when it takes longer' -r
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand healthcheck" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand healthcheck" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand healthcheck" -l ready -d 'Ask whether it does what it is for (`/-/ready`), not only whether it serves (`/-/healthy`)'
complete -c hermes-alert-bridge -n "__fish_hermes_alert_bridge_using_subcommand healthcheck" -s h -l help -d 'Print help'
