/**
 * Rights that no scene of rights-scenes.ts needs, or that a run can do without for a while, and why they are granted all the
 * same. What a runbook can come to call is read from its text, so some of it is for nights that are hard to bring about.
 */
export const unreached: readonly (readonly [runbooks: RegExp, right: RegExp, why: string])[] = [
  [/./, /clpgrp -n \S+$/, "clpstat cuts names at 16 letters; those of the lab are shorter"],
  [/./, /lsblk .*(MOUNTPOINT\\,PKNAME|-p -o)/, "older util-linux is asked in other words; the lab's is new"],
  [/./, /clpcl -s$/, "a node that was booted and did not join by itself; those of the lab do"],
  [/./, /^nodes\.releaseMarker \/ \/usr/, "a node that died while its marker was taken off"],
  [
    /./,
    /^nodes\.(renew|adopt)Marker/,
    "a refusal is met again until the lease is over; runs here are shorter",
  ],
  [/./, /^cluster\.renewDeadMan/, "likewise for the timer: the service is back sooner here"],
  [/./, /^nodes\.(findLvm|showToLvm|hideFromLvm)/, "LVM: played with backup-standby, restore and drill"],
  [/./, /^nodes\.getFileSystem/, "other file systems, and volumes without partitions, than the lab's"],
  [/./, /^cluster\.setMirrorOptions/, "mirrors that differ from each other in these settings"],
  [
    /./,
    /^cluster\.setMirrorDevices/,
    "a point from before the partitions had other names; played on staging",
  ],
  [/^(restore|drill|rollback)/, /^cluster\.(stop|disable|enable)Service/, "nodes found half in the cluster"],
  [/^(restore|drill|rollback)/, /^cluster\.(findCopies|startGroup)/, "nodes found half in the cluster"],
  [/^(restore|drill|rollback|give)/, /^nodes\.reboot/, "a way back after the nodes came up"],
  [/^(restore|drill)/, /clprestore\.sh --post$/, "a runner that died between the starts of the two sides"],
  [
    /^(boot-bare|rollback)/,
    /ModifyInstanceAttribute/,
    "a volume that ends with its instance: played with restore",
  ],
  [
    /^resync/,
    /^(ec2:Describe|ec2:StartInstances|nodes\.(listBlock|resolvePath))/,
    "a node that is off, or was exchanged",
  ],
  [
    /^(give-back|rollback)/,
    /^ec2:(ModifyInstanceAttribute|StopInstances)/,
    "a node that does not shut down, or ends its volumes",
  ],
  [
    /^give-back/,
    /^ec2:(AttachVolume|DeleteTags) \/ (Tag)?(Old|Bare)/,
    "volumes left out by a restore, or by boot-bare",
  ],
  [/^give-back/, /^cluster\.(enable|stop)Service/, "nodes found half in the cluster"],
  [/^give-back/, /^cluster\.clearDeadMan/, "a timer that a dead run left set"],
  [/^give-back/, /^cluster\.forceGood/, "both sides RED: a person chooses"],
];
