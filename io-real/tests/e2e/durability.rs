//! kill -9 loses nothing that was acknowledged.

use crate::server::{Directory, Server};

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    server.psql("CREATE TABLE t (id int PRIMARY KEY)");
    for id in 0..20 {
        server.psql(&format!("INSERT INTO t VALUES ({id})"));
    }
    server.kill();
    let server = Server::single(&directory);
    assert_eq!(server.psql("SELECT count(*), max(id) FROM t"), "20|19\n");
    server.psql("INSERT INTO t VALUES (20)");
    server.kill();
    let server = Server::single(&directory);
    assert_eq!(server.psql("SELECT count(*) FROM t"), "21\n");
    assert_eq!(server.terminate(), Some(0));
    let server = Server::single(&directory);
    assert_eq!(server.psql("SELECT count(*) FROM t"), "21\n", "after a clean stop");
}

#[test]
fn an_open_transaction_dies_with_its_node() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    server.psql("CREATE TABLE t (id int PRIMARY KEY)");
    let address = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
        server.kill();
        assert!(client.batch_execute("COMMIT").await.is_err(), "acknowledged by a dead node");
        let _ = connection.await;
    });
    let server = Server::single(&directory);
    assert_eq!(server.psql("SELECT count(*) FROM t"), "0\n");
}
