/** Which region is meant where nobody says it: what the SDK itself would take, by its own rules. */
import { Failure } from "../../errors.ts";
import { loadSdk } from "./calls.ts";

/** From `AWS_REGION`, else from the profile in `~/.aws/config`; fails with `invalid` if neither names one. */
export async function getDefaultRegion(profile: string | undefined): Promise<string> {
  const sdk = loadSdk();
  const client = new sdk.EC2Client(profile === undefined ? {} : { profile });
  try {
    return await client.config.region();
  } catch (thrown) {
    throw new Failure(
      "invalid",
      "the region of the cloud is not known: neither AWS_REGION nor a profile names it",
      {
        hint: "give it, for example --region ap-northeast-1",
        cause: thrown,
      },
    );
  } finally {
    client.destroy();
  }
}
