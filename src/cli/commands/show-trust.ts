/** How what a host has settled about manifests is shown. */
import type { HostTrust, Stored, TrustPlaces } from '../../agent/trust/trust-files.ts';
import { oneLine } from '../../policy/trust/certificates.ts';
import { troubleOf } from '../../policy/trust/chain.ts';
import type { TrustSettings } from '../../policy/trust/trust-settings.ts';
import { printJson, printLine, table } from '../output.ts';

/** What is settled, and which certificates are known. */
export function showTrust(places: TrustPlaces, { settings, keystore }: HostTrust, json: boolean): void {
  const certificates = keystore.map((each) => describeCertificate(each, settings));
  if (json) {
    printJson({ ...places, ...settings, keystore: certificates });
    return;
  }
  const { outbound, whitelist, undated, compat } = settings;
  const { audited_payload, partner } = outbound;
  const dangling = Object.keys({ ...audited_payload, ...partner }).filter(
    (id) => !keystore.some((each) => each.id === id),
  );
  const rows = [
    ...certificates.map(({ id, subject, not_after, audited, partner: of, trouble }) => [
      ...[`${id.slice(0, 16)}…`, subject, not_after.slice(0, 10), audited ?? '-', of ?? '-', trouble ?? 'in order'],
    ]),
    ...dangling.map((id) => [
      `${id.slice(0, 16)}…`,
      '(not in the keystore)',
      '-',
      audited_payload[id] ?? '-',
      partner[id] ?? '-',
      '-',
    ]),
  ];
  printLine(`settings       ${places.settings}`);
  printLine(`certificates   ${places.certificates}`);
  printLine(`outbound       ${outbound.enabled ? 'on' : 'off: no manifest may have the network'}`);
  printLine(`everyone       ${outbound.everyone}`);
  printLine(`whitelist      ${whitelist.length === 0 ? 'empty' : `${whitelist.length} patterns`}`);
  printLine(`undated        ${undated}`);
  printLine(`compat         ${compat}`);
  printLine('');
  if (rows.length === 0) printLine('No certificates of authors are known.');
  else printLine(table([['ID', 'SUBJECT', 'UNTIL', 'AUDITED', 'PARTNER', 'STATE'], ...rows]));
}

function describeCertificate(stored: Stored, { outbound }: TrustSettings) {
  const { id, certificate, file } = stored;
  return {
    ...{ id, subject: oneLine(certificate.subject), issuer: oneLine(certificate.issuer) },
    ...{ not_before: certificate.validFromDate.toISOString(), not_after: certificate.validToDate.toISOString() },
    ...{ audited: outbound.audited_payload[id] ?? null, partner: outbound.partner[id] ?? null },
    ...{ file, trouble: troubleOf(stored, Date.now()) ?? null },
  };
}
