/** server.properties of a local broker: broker and controller in one process (KRaft). */

export interface Node {
  readonly id: number;
  readonly port: number;
  readonly controllerPort: number;
}

export interface BrokerConfig {
  readonly node: Node;
  /** Every node of the cluster, this one included. */
  readonly nodes: readonly Node[];
  readonly dataDir: string;
  readonly overrides?: Readonly<Record<string, string>>;
}

const HOST = '127.0.0.1';

export function replicationOf(nodes: readonly Node[]): { readonly factor: number; readonly minInsync: number } {
  return nodes.length >= 3 ? { factor: 3, minInsync: 2 } : { factor: 1, minInsync: 1 };
}

export function serverProperties({ node, nodes, dataDir, overrides }: BrokerConfig): string {
  const { factor, minInsync } = replicationOf(nodes);
  const settings: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': node.id,
    // Static voters: they are read from here at each start, so a cluster may come back on other ports.
    'controller.quorum.voters': nodes.map((one) => `${one.id}@${HOST}:${one.controllerPort}`).join(','),
    'listeners': `CLIENT://${HOST}:${node.port},CONTROLLER://${HOST}:${node.controllerPort}`,
    'advertised.listeners': `CLIENT://${HOST}:${node.port}`,
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'CLIENT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': dataDir,

    'default.replication.factor': factor,
    'min.insync.replicas': minInsync,
    'unclean.leader.election.enable': false,
    'auto.create.topics.enable': false,
    'offsets.topic.replication.factor': factor,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': factor,
    'transaction.state.log.min.isr': minInsync,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': factor,
    'share.coordinator.state.topic.min.isr': minInsync,
    'share.coordinator.state.topic.num.partitions': 4,
    'group.initial.rebalance.delay.ms': 0,

    // A laptop, not a fleet: few threads, and a dead broker is noticed soon. A broker that was killed is let in again
    // only when its old session has ended.
    'num.network.threads': 2,
    'num.io.threads': 4,
    'num.replica.fetchers': 1,
    'log.cleaner.dedupe.buffer.size': 16_777_216,
    'log.retention.check.interval.ms': 60_000,
    'broker.session.timeout.ms': nodes.length > 1 ? 6_000 : 4_000,
    'broker.heartbeat.interval.ms': 800,
    ...overrides,
  };
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

/** What a broker says goes to its standard output and with it into its log file. */
export const LOG4J = `<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders>
    <Console name="stdout" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %p %c{1}: %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Root level="WARN">
      <AppenderRef ref="stdout"/>
    </Root>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Logger name="org.apache.kafka.coordinator.group" level="INFO"/>
  </Loggers>
</Configuration>
`;
