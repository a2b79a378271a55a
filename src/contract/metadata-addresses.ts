/** Addresses at which clouds hand out the credentials of a machine: no workload gets there, and no job names one. */
export const metadataAddresses = ['169.254.0.0/16', '100.100.100.200', '168.63.129.16'] as const;
