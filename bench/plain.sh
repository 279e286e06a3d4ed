#!/bin/sh
# What Mycelium is measured against: the same git work for the same tasks, by hand and without any
# of its care. For each task a clone, an edit, a commit and a merge into the branch; after each
# batch the doctor.
#
#   plain.sh REPOSITORY WORK-FOLDER TASKS BATCH DOCTOR
set -eu
repository=$1
work=$2
tasks=$3
batch=$4
doctor=$5

number=0
while [ "$number" -lt "$tasks" ]; do
  number=$((number + 1))
  task=$(printf 'task-%04d' "$number")
  clone=$work/$task

  # Shared, because copying or linking thousands of objects for each task would flatter Mycelium.
  git clone --quiet --shared "$repository" "$clone"
  file=$(((number - 1) % 100))
  echo "$task" >"$clone/src/part-$((file / 10))/file-$((file % 10)).txt"
  git -C "$clone" add --all
  git -C "$clone" commit --quiet --message "$task"

  git -C "$repository" fetch --quiet "$clone" main
  git -C "$repository" merge --quiet --no-ff --message "merge $task" FETCH_HEAD
  rm -rf "$clone"

  if [ $((number % batch)) -eq 0 ] || [ "$number" -eq "$tasks" ]; then
    (cd "$repository" && sh -c "$doctor")
  fi
done
