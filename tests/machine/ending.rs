//! What goes wrong around a machine, and how it ends or goes on.

use std::time::Duration;

use cloister_imaging::View;
use cloister_tests::{Front, Machine, MachineSetup, Tools, image};

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_whose_parent_was_killed_ends_by_itself() {
    let Some(tools) = Tools::prepared() else { return };
    let setup = MachineSetup { extra: "[parent]\ngone_seconds = 5\n".to_owned(), ..MachineSetup::default() };
    let mut machine = Machine::start(&tools, &setup).await;
    drop(machine.session().await);
    machine.parent.kill();
    machine.ended();
    assert!(machine.emulator.words().contains("reboot: Restarting system"), "{}", machine.emulator.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_behind_a_stalled_proxy_says_so_and_starts_once_it_is_mended() {
    let Some(tools) = Tools::prepared() else { return };
    let setup = MachineSetup { stalled_proxy: true, ..MachineSetup::default() };
    let mut machine = Machine::start(&tools, &setup).await;
    machine.until_said("the model's key was not released").await;
    machine.mend_proxy();
    drop(machine.session().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_a_full_queue_a_machine_says_503_and_goes_on() {
    let Some(tools) = Tools::prepared() else { return };
    let setup = MachineSetup { extra: "[serve]\nqueue = 1\nthreads = 1\n".to_owned(), ..MachineSetup::default() };
    let mut machine = Machine::start(&tools, &setup).await;
    drop(machine.session().await);
    let png = image(View::LCc, 1);
    let requests = (0..6).map(|_| {
        let (server, png) = (machine.server.clone(), png.clone());
        tokio::spawn(async move { Front::connect(&server).await.post_image("view=L-CC&crops=2", png).await })
    });
    let mut statuses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        let answer = request.await.unwrap();
        if answer.status == 503 {
            assert_eq!(answer.problem(), "queue-full");
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [200, 503], "some are served, and some are told to come again");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = Front::connect(&machine.server).await.post_image("view=L-CC&crops=1", png).await;
    assert_eq!(after.status, 200, "places come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_asked_to_end_answers_its_clients_and_ends() {
    let Some(tools) = Tools::prepared() else { return };
    let mut machine = Machine::start(&tools, &MachineSetup { listed: true, ..MachineSetup::default() }).await;
    drop(machine.session().await);
    machine.unlist();
    machine.ended();
    assert!(machine.emulator.words().contains("draining"), "{}", machine.emulator.words());
    machine.until_said("has drained and ended").await;
}
