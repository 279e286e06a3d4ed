import { z } from "zod";

const URL_LENGTH_MAX = 2_000;

/** https, http, git, ssh and file addresses, and `user@host:path`. Nothing that git runs. */
const WITH_SCHEME = /^(?:https?|git|ssh|file):\/\/[^\s'"`$\\;|&<>(){}*?!]+$/;
const LIKE_SCP = /^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^\s'"`$\\;|&<>(){}*?!:]+$/;

export const gitUrl = z
  .string()
  .min(1)
  .max(URL_LENGTH_MAX)
  .refine((url) => WITH_SCHEME.test(url) || LIKE_SCP.test(url), {
    error:
      "must be an https, http, git, ssh or file URL, or user@host:path, without metacharacters",
  });
