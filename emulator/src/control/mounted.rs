//! What a router cannot do: whatever acts on the connection, which belongs to the server of the
//! application that the router is mounted in.

use super::shared::{NoNetwork, OwnNetwork};
use crate::config::Server;
use crate::dialect::Dialect;
use crate::fault::Rule;
use crate::imds::Imds;
use crate::timeline::TimelineStep;
use crate::value::{Invalid, Key};

/// Checks that a router can honour all settings and rules of an emulator without a listener.
pub(crate) fn check_mounted(imds: &Imds) -> Result<(), Invalid> {
    let config = imds.config();
    let key = Key::root("server");
    let default = Server::default();
    key.field("hosts").unless(
        config.server.hosts == default.hosts,
        format_args!("{:?}", config.server.hosts),
        format_args!("{:?}; a router does not listen", default.hosts),
    )?;
    key.field("port").unless(
        [0, default.port].contains(&config.server.port),
        config.server.port,
        format_args!("0 or {}; a router does not listen", default.port),
    )?;
    key.field("head-timeout").unless(
        config.server.head_timeout == default.head_timeout,
        config.server.head_timeout,
        format_args!("{}; a router does not read HTTP", default.head_timeout),
    )?;
    Key::root("admin").field("enabled").unless(
        !config.admin.enabled,
        config.admin.enabled,
        "false; a router does not listen",
    )?;
    Key::root("journal").field("process").unless(
        !config.journal.process,
        config.journal.process,
        "false; a router does not know the process of a client",
    )?;
    Key::root("journal").field("packets").unless(
        !config.journal.packets,
        config.journal.packets,
        "false; a router does not know the connection of a client",
    )?;
    check_responses(imds)
}

/// Checks that a router can answer as the emulator's own listener does.
pub(crate) fn check_responses(imds: &Imds) -> Result<(), Invalid> {
    let config = imds.config();
    let key = Key::root("server");
    key.field("dialect").unless(
        config.server.dialect == Dialect::Nitro,
        "xen",
        "nitro; a router determines neither the version of HTTP nor the case of header names",
    )?;
    if let Some(peers) = config.server.peers.first() {
        key.field("peers").unless(
            false,
            peers.network,
            "no networks; a router cannot leave requests without a response",
        )?;
    }
    imds.faults().try_for_each(|(rule, _)| check_rule(rule))
}

/// Checks the rules that the steps of a timeline add.
pub(crate) fn check_steps(steps: &[TimelineStep]) -> Result<(), Invalid> {
    for (at, step) in steps.iter().enumerate() {
        let key = Key::root("timeline").item(at).field("do");
        for (at, command) in step.commands.iter().enumerate() {
            let mut rules = command.rules().into_iter();
            rules
                .try_for_each(|rule| check_rule(&rule))
                .map_err(|invalid| invalid.within(&key.item(at)))?;
        }
    }
    Ok(())
}

fn check_rule(rule: &Rule) -> Result<(), Invalid> {
    let key = Key::root(&format!("the rule {:?}", rule.name));
    if let Some(process) = &rule.matches.process {
        let key = key.field("match").field("process");
        let accepted = "no condition; a router does not know the process of a client";
        return key.unless(false, process, accepted);
    }
    if !rule.fault.needs_connection() {
        return Ok(());
    }
    let fault = serde_json::to_string(&rule.fault).unwrap_or_default();
    Err(key.malformed(format_args!(
        "the fault {fault} acts on the connection, which a router cannot do; use a fault of the \
         response, or an emulator that listens"
    )))
}

/// Checks that no rule is added that acts on a network in a way that the emulator cannot.
pub(crate) fn check_network(
    before: &Imds,
    after: &Imds,
    network: Result<&OwnNetwork, NoNetwork>,
) -> Result<(), Invalid> {
    let mut added = after
        .faults()
        .filter(|(rule, _)| before.faults().all(|(other, _)| other != *rule));
    added.try_for_each(|(rule, _)| check_possible(rule, network))
}

/// Checks that the emulator can act on its networks as a rule says.
pub(crate) fn check_possible(
    rule: &Rule,
    network: Result<&OwnNetwork, NoNetwork>,
) -> Result<(), Invalid> {
    let Some(instead) = rule.fault.instead() else {
        return Ok(());
    };
    let key = Key::root(&format!("the rule {:?}", rule.name));
    let name = rule.fault.name();
    let network = match network {
        Ok(network) => network,
        Err(NoNetwork::Foreign) => {
            return Err(key.malformed(format_args!(
                "the fault `{name}` acts on the network, which is the emulator's only for isolated commands \
                 (`run --isolated`) and with --link-local, --netns or --join; use {instead}, or one of these \
                 options",
            )));
        }
        Err(NoNetwork::OffEc2) => {
            return Err(key.malformed(format_args!(
                "the fault `{name}` acts on the network between the command and the emulator, which a command \
                 off EC2 does not reach; remove the rule, or omit --off-ec2 (in Rust, `Isolation::off_ec2`)",
            )));
        }
    };
    let Some(conditions) = rule.fault.conditions() else {
        return Ok(());
    };
    network.try_out(&conditions).map_err(|problem| {
        key.malformed(format_args!(
            "the fault `{name}` is not possible here: {problem}; use {instead}"
        ))
    })
}
