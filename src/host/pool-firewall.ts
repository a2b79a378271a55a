/**
 * The static firewall of the workloads' networks, as rules of nftables in a table of our own. Pure.
 *
 * It stands apart from the engine's rules: what is dropped here stays dropped whatever the engine accepts, and a restart of
 * either touches nothing of the other. Before engine 28 a neighbour on the same network segment could reach ports that are
 * published on 127.0.0.1 (moby #49325): his packets come to the `forward` chain with the address of the container, and end
 * there. Networks of workloads have no IPv6 (`policy/network-request.ts`), so there is nothing of it to be filtered.
 */
import { metadataAddresses } from '../contract/metadata-addresses.ts';

export const firewallTable = 'gpuaas_node_agent';

/** Some answer DNS there as well, which is let through. */
const metadata = metadataAddresses.join(', ');

/** Rules for a pool in CIDR notation, to be loaded whole by `nft -f`, again and again. */
export function poolFirewall(pool: string): string {
  return `# Made by bootstrap.sh from \`network_pool\` of agent.json; made anew when it is run again.
table inet ${firewallTable}
delete table inet ${firewallTable}
table inet ${firewallTable} {
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		ip saddr ${pool} ip daddr { ${metadata} } meta l4proto { tcp, udp } th dport 53 accept
		ip saddr ${pool} ip daddr { ${metadata} } counter drop comment "no metadata of the machine"
		ct state established,related accept
		iifname "br-*" ip saddr ${pool} ip daddr ${pool} accept comment "one network; the engine keeps them apart"
		ip daddr ${pool} counter drop comment "nobody comes in from elsewhere"
		iifname != "br-*" ip saddr ${pool} counter drop comment "no borrowed addresses"
	}
	chain input {
		type filter hook input priority filter - 10; policy accept;
		ct state established,related accept
		ip saddr ${pool} counter drop comment "no services of the host"
	}
}
`;
}
