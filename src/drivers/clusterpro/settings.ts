/**
 * What is changed in the cluster's set-up: values of mirrors in clp.conf, and whether the software starts at boot. Each is
 * one sh script that is given its values as arguments.
 *
 * clp.conf is changed as the vendor's own samples do it (reference clusterpro 3.11): a copy in a folder of its own, `clpcfset`
 * on the copy, `clpcfctrl --push` of that folder to all nodes. Cut before the push, nothing was changed; the push itself is
 * the product's, and setting the same values again is no harm. Whether a change of `fullcopy` or `diskdev` needs the
 * cluster suspended is not known; the vendor's article changes both in Cluster WebUI without it.
 */

/** Where the script works; the tests put another place here. */
export interface ConfigPlaces {
  readonly configFile: string;
  /** Only root writes there, and it is empty after a boot. */
  readonly temporaryFolder: string;
}
export const configPlaces: ConfigPlaces = {
  configFile: "/opt/nec/clusterpro/etc/clp.conf",
  temporaryFolder: "/run",
};

/** One value of a mirror; `path` is as "parameters/fullcopy", or "server@NODE/parameters/…" for one node alone. */
export interface MirrorSetting {
  readonly mirror: string;
  readonly path: string;
  readonly value: string;
}

export const settingArgs = (settings: readonly MirrorSetting[]): readonly string[] =>
  settings.flatMap(({ mirror, path, value }) => [mirror, path, value]);

/** Arguments: mirror, path, value; and again. 127: the product's tool for it is not there, nothing was done. */
export const setConfigScript = (places: ConfigPlaces = configPlaces): string => `umask 077
if ! command -v clpcfset > /dev/null 2>&1; then echo "runbook: clpcfset is not on this node" >&2; exit 127; fi
d=$(mktemp -d '${places.temporaryFolder}/runbook-config.XXXXXX') || exit 1
trap 'rm -rf "$d"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cp '${places.configFile}' "$d/clp.conf" && cd "$d" || exit 1
while [ $# -gt 0 ]; do
  clpcfset add rscparam md "$1" "$2" "$3" < /dev/null || exit
  shift 3
done
clpcfctrl --push -l -x "$d" < /dev/null
`;

/** Of `setOwnConfigScript`: the cluster's software runs there. */
export const runsCode = 81;

/**
 * The same for the file of this node alone, without a push: while the cluster's software is kept from the start, the service
 * that would take one does not run either. The file is read when the software starts (reference clusterpro 8 R1, step 10:
 * correct the names before the post command). It changes its place whole, or not at all.
 */
export const setOwnConfigScript = (places: ConfigPlaces = configPlaces): string => `umask 077
if ! command -v clpcfset > /dev/null 2>&1; then echo "runbook: clpcfset is not on this node" >&2; exit 127; fi
for unit in clusterpro clusterpro_md; do
  if systemctl is-active --quiet "$unit"; then echo "runbook: $unit runs on this node" >&2; exit ${runsCode}; fi
done
d=$(mktemp -d '${places.configFile}.runbook.XXXXXX') || exit 1
trap 'rm -rf "$d"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cp -p '${places.configFile}' "$d/clp.conf" && cd "$d" || exit 1
while [ $# -gt 0 ]; do
  clpcfset add rscparam md "$1" "$2" "$3" < /dev/null || exit
  shift 3
done
sync clp.conf || exit 1
mv -f clp.conf '${places.configFile}'
`;

/**
 * All units of the product (reference clusterpro 2). Taken from the start by hand are the first two only, which is what keeps
 * a node out of the cluster; put back are all that exist, since it is not known which ones were taken.
 */
const allUnits = [
  "clusterpro",
  "clusterpro_md",
  "clusterpro_evt",
  "clusterpro_trn",
  "clusterpro_ib",
  "clusterpro_api",
  "clusterpro_webmgr",
  "clusterpro_alertsync",
  "clusterpro_nm",
] as const;
export const switchArgs = (verb: "enable" | "disable"): readonly string[] => [
  verb,
  ...allUnits.slice(0, verb === "enable" ? allUnits.length : 2),
];

/**
 * Arguments: enable or disable, units. The product's own script for it is known from memory (reference clusterpro 3.10), so
 * that systemd is asked where there is none.
 */
export const switchScript = `verb=$1; shift
if command -v clpsvcctrl.sh > /dev/null 2>&1; then exec clpsvcctrl.sh "--$verb" -a < /dev/null; fi
found=no
for unit in "$@"; do
  case "$(systemctl is-enabled "$unit" 2> /dev/null)" in
    "" | not-found) ;;
    *) found=yes; systemctl "$verb" "$unit" || exit 1 ;;
  esac
done
if [ "$found" = no ]; then echo "runbook: none of the cluster's units is on this node" >&2; exit 127; fi
`;
