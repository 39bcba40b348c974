// SPDX-License-Identifier: Apache-2.0

// Written by make generate from docs/reference/openapi.json; do not edit.

type AnyJson = null | boolean | number | string | AnyJson[] | {
    [key: string]: AnyJson;
};
export interface paths {
    "/api/tallyman/v1/alarms": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The alarms that are pending or fire
         * @description The gravest and newest first.
         */
        get: operations["get_alarms"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/acknowledged/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Say that somebody knows of an alarm
         * @description Until it clears it is not repeated. That it has cleared is told.
         */
        post: operations["post_alarms_acknowledged_id"];
        /** Take that back */
        delete: operations["delete_alarms_acknowledged_id"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/choices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What containers ask of alarms
         * @description By their labels tallyman.alarms…, or by the setting alarms.exclude: of which nothing is alarmed, which rules are off or have another severity or threshold, and which labels cannot be followed.
         */
        get: operations["get_alarms_choices"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/history": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The alarms that have fired
         * @description The newest first, each as it stood last: firing, or cleared with the reason.
         */
        get: operations["get_alarms_history"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/receivers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Who is told
         * @description The lines of alarms.notify, without their secrets, and how the last messages went.
         */
        get: operations["get_alarms_receivers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/receivers/{number}/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Send a test message to a receiver
         * @description It goes the same way as an alarm. The answer is the receiver's.
         */
        post: operations["post_alarms_receivers_number_test"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/rules": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The rules with their state
         * @description Those that come with tallyman and those of files.
         */
        get: operations["get_alarms_rules"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/rules/{name}/test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How often a rule would have fired
         * @description Its expression is evaluated at each interval over the samples, logs and problems that are kept, with the time that it waits and that it goes on, and with what containers ask now. It takes up to half a minute; what there was no time for is left out.
         */
        get: operations["get_alarms_rules_name_test"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/silences": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The silences
         * @description Those in force, and those that have ended in the last days.
         */
        get: operations["get_alarms_silences"];
        put?: never;
        /**
         * Make a silence
         * @description Until its end nobody is told of what its matchers fit.
         */
        post: operations["post_alarms_silences"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/silences/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** End a silence */
        delete: operations["delete_alarms_silences_id"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/alarms/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One alarm, and what its rule looked at
         * @description The values of its expression from an hour before until 15 minutes after it, and of a rule over logs the lines that it counted.
         */
        get: operations["get_alarms_id"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/changes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What changed in a range against the equally long one before it
         * @description happened are events of containers, engines and tallyman: what was the same of one workload stands once. moved are numbers, by a score: the difference of their medians, or half of that of the values that one step in ten is above, over the median deviation of the range before and what is worth no word in that unit; from 3 on they have moved. What did not run while its host was watched took nothing; else a number that lacks samples in one of the ranges is not compared. Which kinds of lines are new is in /changes/lines.
         */
        get: operations["get_changes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/changes/lines": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Which kinds of lines are new in a range, or gone, against the equally long one before it
         * @description Lines of one container, file or unit are grouped by what they have in common. At most 100000 lines of each range are read, spread over it, in at most 8s; covered tells how much that is. Where it is not all, a kind is new or gone only when it would have been read at least 3 times were it as frequent in the other range.
         */
        get: operations["get_changes_lines"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/configurations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Every workload with kept configurations, that changed last first
         * @description changes are the settings that differed at the last change; details are in /diff. A workload whose containers are gone is here as long as a configuration of it is kept. rights are what the present container may do and most need not, as it was made: privileged, socket (the engine's), hostpid, hostnetwork, capabilities (added), root (as user), writable (root file system), nolimit (of memory), latest (or no tag), public (ports on every address).
         */
        get: operations["get_configurations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/containers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Every known container, removed ones too */
        get: operations["get_containers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/containers/{ref}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One container with its details
         * @description ref is a full id, the first 12 digits of one or more, or a name.
         */
        get: operations["get_containers_ref"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/containers/{ref}/processes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The processes of a container, as top shows them
         * @description Read from the host's /proc at the time of the question, and not kept; at most 500. Arguments that look like secrets are left out. ref is as for a container.
         */
        get: operations["get_containers_ref_processes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/diff": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where two kept configurations differ
         * @description old is absent where b has something that a has not, new where it is the other way round.
         */
        get: operations["get_diff"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/doctor": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** What works here, what does not and what would help, and what tallyman costs */
        get: operations["get_doctor"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Events, the newest first
         * @description All given filters must fit. more is set when there may be older ones: ask again with next as before. One question looks at 50000 events at most, so that an answer may be empty and yet have more.
         */
        get: operations["get_events"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/events/summary": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How many events there are over time, and of which kinds
         * @description counts are those that fit the filters, by severity, in columns: column i is from start + i * step on. The other numbers are, of each kind of choice, what the other filters leave of the range. Of more than 50000 events the newest are counted; since tells from when on.
         */
        get: operations["get_events_summary"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/history": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The numbers of a workload over time
         * @description Each series has a value for each time in t, the mean over the step that ends there; null where nothing is known. Without start it goes back to the first sample. Samples of all containers of the workload are joined.
         */
        get: operations["get_history"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/kills": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Processes that the kernel of a host killed for want of memory, and in which containers
         * @description From the kernel's own messages, the newest 200 of the range, oldest first. Without start they are those of 24 hours. Empty where the kernel's messages are not read.
         */
        get: operations["get_kills"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What changes, as Server-Sent Events
         * @description As long as a stream is open, collection runs at live_interval; but with view=events, which has events and engines, a snapshot that says only that events before may have been missed, and ticks without numbers.
         */
        get: operations["get_live"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log in with the code of a link or with the token
         * @description The answer sets a cookie that is good for thirty days. Five failures a minute are allowed for each address.
         */
        post: operations["post_login"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** End this session */
        post: operations["post_logout"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** This description */
        get: operations["get_openapi_json"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/patterns": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The kinds of lines of a log query, with an example of each and how many there are
         * @description At most 200000 lines are read, spread over the range, in at most 8s; covered tells how much of its time that is. /loki/api/v1/patterns reads all.
         */
        get: operations["get_patterns"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/problems": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The open problems
         * @description What is wrong with workloads and engines now, as the series container_problem and engine_problem have it.
         */
        get: operations["get_problems"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/servers": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Every host with its engine and its containers, with their numbers of now
         * @description A sparkline covers the last quarter of an hour.
         */
        get: operations["get_servers"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/services": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Services in containers, and how their plugins are
         * @description Also what is wrong in the labels of containers that name plugins.
         */
        get: operations["services"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/services/check": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * What a label would do
         * @description Nothing is started.
         */
        post: operations["checkService"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/services/types": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Plugins, their keys and their charts */
        get: operations["serviceTypes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Is there a login, and which tallyman is this? */
        get: operations["get_session"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/siblings": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Where the containers of one service differ
         * @description The newest configurations of the containers of the same Compose service on the host, or of the same Swarm service on all hosts, at most 32. values are in the order of members, null where a setting is not there. What tells containers of one service apart (id, name, number) does not count.
         */
        get: operations["get_siblings"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/snapshots": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Kept configurations of a container, a workload or an image, the newest first
         * @description One is kept at first sight and at each change, without secrets: values of variables are replaced by a number that tells whether they changed. changes are the paths that differ from previous, the one before of the same workload; what every new container has anew (id, name, time of creation) does not count.
         */
        get: operations["get_snapshots"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/snapshots/{hash}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One kept configuration, in the engine's words
         * @description What is empty, zero or false, and what changes by itself, is left out.
         */
        get: operations["get_snapshots_hash"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The tokens with which agents send what their hosts have
         * @description The tokens themselves are not kept, only their hashes.
         */
        get: operations["get_tokens"];
        put?: never;
        /** Make a token for the agent of a host */
        post: operations["post_tokens"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/tokens/{ref}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Revoke the token of an id, or all of a host
         * @description Each request with it is refused from now on.
         */
        delete: operations["delete_tokens_ref"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/usage": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What all containers and hosts took in a range
         * @description The mean is over the time in which the host was watched, so that those of the containers add up to a part of the host's: what did not run took nothing. Containers that are gone are there, too.
         */
        get: operations["get_usage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/watched": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Since when there are samples of a host
         * @description And whether nothing was watched before, or what was is no longer kept.
         */
        get: operations["get_watched"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/tallyman/v1/why": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Why a container died
         * @description What is known of its last death at or before a time: the exit code in words, the steps that led to it, the last lines, figures of the five minutes before, what was changed, what else happened on that host, and one sentence that puts it together.
         */
        get: operations["get_why"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Absence: {
            code?: string;
            reason: string;
            unlock?: string;
            what: string;
        };
        Alarm: {
            /** @description Whether somebody said that they know: it is not repeated */
            acknowledged?: boolean;
            /** @description What to do */
            advice?: string;
            cleared?: number;
            fired?: number;
            host?: string;
            id: string;
            image?: string;
            labels: {
                [key: string]: string;
            };
            name?: string;
            /** @description Why it has cleared */
            reason?: string;
            rule: string;
            /** @description critical, warning or info; of the last nobody is told */
            severity: string;
            /** @description Whether a silence keeps it from being told */
            silenced?: boolean;
            /** @description When the condition began to hold */
            since: number;
            /** @description pending, firing or cleared */
            state: string;
            /** @description One sentence: what is wrong */
            summary: string;
            value: number;
            /** @description What is known of the death that it is about */
            why?: components["schemas"]["Why"];
            workload?: string;
        };
        AlarmHistoryAnswer: {
            alarms: components["schemas"]["Alarm"][];
            /** @description Whether there are older ones than the limit allows */
            more: boolean;
        };
        AlarmsAnswer: {
            alarms: components["schemas"]["Alarm"][];
        };
        Call: {
            call: string;
            count: number;
            engine: string;
        };
        Change: {
            new?: components["schemas"]["Json"];
            old?: components["schemas"]["Json"];
            path: string;
        };
        Changed: {
            after: string;
            before: string;
            path: string;
            setting: string;
        };
        ChangedLines: {
            /** @description How many lines are of no pattern, since there are too many */
            apart: number;
            /** @description Where the range before starts, which ends where the range starts */
            before: number;
            /** @description The same of the range */
            covered: number;
            /** @description The share of the range before in which they lie: less than 1 where there are too many to read all */
            coveredBefore: number;
            end: number;
            /** @description No longer in the range */
            gone: components["schemas"]["FoundPattern"][];
            goneLeft: number;
            /** @description How many of the range */
            lines: number;
            /** @description How many lines of the range before were read */
            linesBefore: number;
            /** @description Not in the range before; the gravest first, then the most frequent */
            new: components["schemas"]["FoundPattern"][];
            newLeft: number;
            /** @description Where the range starts */
            start: number;
            /** @description Hosts that were not watched before: nothing of them can be called new */
            unwatched?: string[];
        };
        ChangesAnswer: {
            /** @description Where the range before starts, which ends where the range starts */
            before: number;
            /** @description How many numbers were compared */
            compared: number;
            /** @description How many were too many to be compared */
            comparedLeft?: number;
            end: number;
            /** @description The gravest first */
            happened: components["schemas"]["Happening"][];
            /** @description How many more there were */
            happenedLeft: number;
            /** @description Those that moved most first */
            moved: components["schemas"]["Moved"][];
            /** @description How many more moved */
            movedLeft: number;
            /** @description Milliseconds of each step that were read, from its beginning on; of long ranges not all */
            sample: number;
            /** @description From when on events were looked at, where there are too many to look at all */
            since?: number;
            /** @description Where the range starts */
            start: number;
            /** @description Milliseconds of a step */
            step: number;
            /** @description By host; one without samples in either range is not there */
            watched: components["schemas"]["WatchedFor"][];
        };
        Chart: {
            /** @description 15 minutes after the alarm has cleared, or now; a day after it began at most */
            end: number;
            /** @description The rule's expression without its comparison */
            expr: string;
            /** @description promql or logql */
            language: string;
            /** @description How it is compared: >, <, >=, <=, == or !=; left out where it is with no number */
            op?: string;
            /** @description An hour before the condition began to hold */
            start: number;
            /** @description With what it is compared */
            threshold: number;
            times: number[];
            /** @description One for each of times; where nothing was there is none */
            values: number[];
        };
        CheckAnswer: {
            mistakes: components["schemas"]["ServiceMistake"][];
            /** @description Whether it switches off */
            none?: boolean;
            wishes: components["schemas"]["ServiceWish"][];
        };
        Choice: {
            /** @description What is followed, in words */
            asked: string[];
            container: string;
            /** @description What is not, and why */
            faults: string[];
            host: string;
            name: string;
            workload: string;
        };
        ChoicesAnswer: {
            choices: components["schemas"]["Choice"][];
        };
        Configuration: {
            /** @description How many settings the last change has */
            changeCount?: number;
            /** @description When the last change was seen */
            changed?: number;
            /** @description The first settings of the last change */
            changes?: components["schemas"]["SettingChange"][];
            /** @description When the oldest of them was taken */
            first: number;
            host: string;
            /** @description The newest container */
            id: string;
            image?: string;
            /** @description How many configurations */
            kept: number;
            name?: string;
            /** @description When the newest of them was taken */
            newest: number;
            project?: string;
            /** @description What the present container may do and most need not; absent where that is not known, as of one that is gone */
            rights?: components["schemas"]["Right"][];
            service?: string;
            /** @enum {string} */
            state: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead" | "gone" | "unknown";
            workload: string;
        };
        ConfigurationsAnswer: {
            workloads: components["schemas"]["Configuration"][];
        };
        Container: {
            /** @description What cannot be known of it here, why, and what would change that */
            absent?: components["schemas"]["Absence"][];
            /** @description How its numbers come: from files of control groups (cgroup) or from the engine's API (api) */
            collect?: string;
            /** @description Why they come from the API */
            collectWhy?: string;
            /** @description Entrypoint and arguments, without secrets */
            command?: string[];
            /** @description Cores; absent without a limit */
            cpuLimit?: number;
            /** @description Deaths of late that nobody asked for; absent when there were none */
            crashes?: components["schemas"]["Crashes"];
            created?: number;
            /** @description It is listed, but not measured */
            disabled?: boolean;
            engine: string;
            error?: string;
            exitCode?: number;
            finished?: number;
            goneAt?: number;
            /** @description starting, healthy or unhealthy; absent without a health check */
            health?: string;
            host: string;
            id: string;
            image: string;
            imageId?: string;
            /** @description The containers of its workload, in the order of their starts */
            instances?: components["schemas"]["Instance"][];
            labels?: {
                [key: string]: string;
            };
            lastEvent?: components["schemas"]["Event"];
            logDriver?: string;
            /** @description Bytes; absent without a limit */
            memoryLimit?: number;
            mounts?: components["schemas"]["Mount"][];
            name: string;
            networkMode?: string;
            networks?: components["schemas"]["Network"][];
            now?: components["schemas"]["Now"];
            oomKilled?: boolean;
            origin: string;
            ports?: components["schemas"]["Port"][];
            project?: string;
            restartCount: number;
            restartPolicy?: string;
            service?: string;
            /** @description In /servers and in the snapshots of its page */
            spark?: components["schemas"]["Spark"];
            started?: number;
            /** @enum {string} */
            state: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead" | "gone" | "unknown";
            tty?: boolean;
            user?: string;
            workload: string;
        };
        ContainerSnapshot: {
            /** @description null while there is none */
            container: components["schemas"]["Container"] | null;
        };
        ContainerUsage: {
            /** @description Cores */
            cpu?: components["schemas"]["Measure"];
            host: string;
            id: string;
            image: string;
            /** @description The working set in bytes */
            memory?: components["schemas"]["Measure"];
            name: string;
            origin?: string;
            project?: string;
            /** @description How many seconds of the range have samples of it */
            ran: number;
            /** @description Bytes received per second */
            rx?: components["schemas"]["Measure"];
            /**
             * @description Of now
             * @enum {string}
             */
            state: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead" | "gone" | "unknown";
            /** @description Bytes sent per second */
            tx?: components["schemas"]["Measure"];
            workload: string;
        };
        ContainersAnswer: {
            containers: components["schemas"]["Container"][];
        };
        Cost: {
            cpu?: number;
            memory?: number;
        };
        Costs: {
            calls: components["schemas"]["Call"][];
            cpu?: number;
            daemons: components["schemas"]["Daemon"][];
            files?: number;
            filesLimit?: number;
            goroutines?: number;
            lateRounds?: number;
            /** @description That no file backs; what counts against memoryLimit */
            memory?: number;
            /** @description That of tallyman's own cgroup */
            memoryLimit?: number;
            resident?: number;
            roundSeconds?: number;
            rounds?: number;
        };
        CountedPattern: {
            /** @description The first of them that was read, its first 2,000 bytes */
            example: string;
            /** @description When that was */
            first: number;
            /** @description When the last of them was */
            last: number;
            level?: string;
            /** @description How many of the lines that were read are of it */
            lines: number;
            /** @description <_> stands for what differs */
            pattern: string;
            /** @description How many in each step of the range */
            points: number[];
            /** @description What selects them behind | decolorize in LogQL; absent where nothing can */
            stage?: string;
        };
        Crashes: {
            count: number;
            /** @description Of the last one */
            exitCode?: string;
            first: number;
            last: number;
        };
        Credentials: {
            code?: string;
            token?: string;
        };
        Daemon: {
            cpu?: number;
            memory?: number;
            name: string;
        };
        DetailAnswer: {
            alarm: components["schemas"]["Alarm"];
            /** @description Left out for rules about problems, which look at nothing that can be drawn */
            chart?: components["schemas"]["Chart"];
            /** @description Of a rule over logs up to 50 lines that it looked at when it fired, the newest last */
            lines: components["schemas"]["Line"][];
            /** @description Why there is less than there could be */
            problem?: string;
        };
        DiffAnswer: {
            a: components["schemas"]["Snapshot"];
            b: components["schemas"]["Snapshot"];
            changes: components["schemas"]["Change"][];
        };
        Difference: {
            path: string;
            /** @description In the order of members, null where it is not set */
            values: components["schemas"]["Json"][];
        };
        Disk: {
            free: number;
            path: string;
            /** @description What is to stay free */
            reserve: number;
            size: number;
        };
        Dropped: {
            count: number;
            /** @description What to do about it */
            next?: string;
            reason: string;
            what: string;
        };
        Engine: {
            address: string;
            apiVersion?: string;
            cgroupDriver?: string;
            cgroupVersion?: string;
            /** @description How the numbers of its containers come: from files of control groups (cgroup), or of some at least from the engine's API (api) */
            collect?: string;
            error?: string;
            failure?: string;
            kernel?: string;
            lastGood?: number;
            name: string;
            os?: string;
            /** @description Another machine's, reached over the network */
            remote?: boolean;
            since?: number;
            up: boolean;
            version?: string;
        };
        EngineChange: {
            engine: components["schemas"]["Engine"];
            host: string;
        };
        Episode: {
            /** @description Left out for one that fires at the end */
            cleared?: number;
            fired: number;
            labels: {
                [key: string]: string;
            };
            /** @description When the condition began to hold */
            since: number;
        };
        Event: {
            action: string;
            actor?: string;
            attributes?: {
                [key: string]: string;
            };
            engine?: string;
            host: string;
            id: string;
            image?: string;
            /** @description Nobody saw it: it follows from two inventories */
            inferred?: boolean;
            /**
             * @description The mark that it has on a chart
             * @enum {string}
             */
            kind: "create" | "death" | "destroy" | "drift" | "engine" | "exec" | "gap" | "health" | "kill" | "oom" | "other" | "pause" | "rename" | "start" | "stop" | "unpause";
            name?: string;
            /**
             * @description Empty for a plain one
             * @enum {string}
             */
            severity: "critical" | "warning" | "info" | "good" | "";
            text: string;
            time: number;
            type: string;
            workload?: string;
        };
        EventsAnswer: {
            events: components["schemas"]["Event"][];
            /** @description There may be older ones */
            more: boolean;
            /** @description What before takes to go on */
            next?: string;
        };
        EventsSnapshot: {
            time: number;
        };
        EventsSummary: {
            /** @description What the other filters leave in the range */
            actions: {
                [key: string]: number;
            };
            /** @description Column i counts the events from start + i * step on */
            counts: {
                critical?: number[];
                good?: number[];
                info?: number[];
                plain?: number[];
                warning?: number[];
            };
            /** @description What the other filters leave in the range */
            hosts: {
                [key: string]: number;
            };
            /** @description What the other filters leave in the range */
            severities: {
                critical?: number;
                good?: number;
                info?: number;
                plain?: number;
                warning?: number;
            };
            /** @description From when on events are counted, where there are too many to count all */
            since?: number;
            start: number;
            step: number;
            total: number;
            /** @description What the other filters leave in the range */
            types: {
                [key: string]: number;
            };
            /** @description What the other filters leave in the range */
            workloads: components["schemas"]["WorkloadCount"][];
        };
        Exit: {
            asked?: boolean;
            code: number | null;
            meaning?: string;
            oom?: boolean;
            ranFor?: number;
            restarts?: number;
            signal?: string;
            words: string;
        };
        Failure: {
            error: components["schemas"]["FailureText"];
        };
        FailureText: {
            code: string;
            message: string;
            next?: string;
        };
        Feature: {
            /** @description How it works */
            detail?: string;
            group: string;
            id: string;
            name: string;
            /** @description Why it does not */
            reason?: string;
            /** @enum {string} */
            state: "works" | "partly" | "off" | "unknown";
            /** @description What to add to make it work: a flag, a mount, a setting */
            unlock?: string;
        };
        Figure: {
            first: number;
            last: number;
            limit?: number;
            max: number;
            name: string;
            /** @description When it was first */
            since?: number;
            /** @description cores, bytes, or none */
            unit: string;
        };
        FoundPattern: {
            /** @description The first of them that was read, its first 2,000 bytes */
            example: string;
            filename?: string;
            /** @description When that was */
            first: number;
            host: string;
            /** @description When the last of them was */
            last: number;
            level?: string;
            /** @description How many of the lines that were read are of it */
            lines: number;
            /** @description Of the container */
            name?: string;
            /** @description <_> stands for what differs */
            pattern: string;
            /** @description The LogQL that selects them */
            query: string;
            /** @description container, file or journal */
            source: string;
            /** @description What selects them behind | decolorize in LogQL; absent where nothing can */
            stage?: string;
            unit?: string;
            workload?: string;
        };
        Happened: {
            text: string;
            time: number;
        };
        Happening: {
            /** @description How often in the range before */
            before: number;
            /** @description Of a change of the configuration: the settings, those that matter most first */
            changes?: components["schemas"]["Changed"][];
            /** @description The id of the last one */
            container?: string;
            host: string;
            /** @enum {string} */
            kind: "create" | "death" | "destroy" | "drift" | "engine" | "exec" | "gap" | "health" | "kill" | "oom" | "other" | "pause" | "rename" | "start" | "stop" | "unpause";
            /** @description The last time */
            last: number;
            /** @description How many more settings were changed */
            left?: number;
            name?: string;
            /**
             * @description Empty for a plain one
             * @enum {string}
             */
            severity: "critical" | "warning" | "info" | "good" | "";
            text: string;
            /** @description The first time in the range */
            time: number;
            /** @description How often in the range */
            times: number;
            workload?: string;
        };
        HistoryAnswer: {
            end: number;
            /** @description The time of the first sample in the range */
            firstSample?: number;
            series: {
                anon?: (number | null)[];
                blkRead?: (number | null)[];
                blkWrite?: (number | null)[];
                cache?: (number | null)[];
                cpuLimit?: (number | null)[];
                cpuSystem?: (number | null)[];
                cpuUser?: (number | null)[];
                kernel?: (number | null)[];
                memoryLimit?: (number | null)[];
                memoryPeak?: (number | null)[];
                pids?: (number | null)[];
                rx?: (number | null)[];
                rxDropped?: (number | null)[];
                rxErrors?: (number | null)[];
                swap?: (number | null)[];
                throttled?: (number | null)[];
                tx?: (number | null)[];
                txDropped?: (number | null)[];
                txErrors?: (number | null)[];
                workingSet?: (number | null)[];
            };
            start: number;
            /** @description Milliseconds between two times */
            step: number;
            t: number[];
        };
        Host: {
            containers: components["schemas"]["Container"][];
            cores?: number;
            /** @description Cores in use by the whole host */
            cpu?: number;
            /** @description What users other than root may still write; it is full when that is 0 */
            diskAvail?: number;
            diskMount?: string;
            diskSize?: number;
            /** @description Of the fullest file system */
            diskUsed?: number;
            engine: components["schemas"]["Engine"];
            host: string;
            load1?: number;
            memory?: number;
            memoryUsed?: number;
            /** @description What tallyman itself takes */
            self?: components["schemas"]["Cost"];
        };
        HostFigures: {
            /** @description Cores in use by the whole host */
            cpu?: number;
            /** @description What users other than root may still write; it is full when that is 0 */
            diskAvail?: number;
            diskMount?: string;
            diskSize?: number;
            /** @description Of the fullest file system */
            diskUsed?: number;
            load1?: number;
            memoryUsed?: number;
            /** @description What tallyman itself takes */
            self?: components["schemas"]["Cost"];
        };
        HostUsage: {
            cores?: number;
            /** @description Cores; absent where the host's own counters are not read */
            cpu?: components["schemas"]["Measure"];
            host: string;
            /** @description Bytes that are not available */
            memory?: components["schemas"]["Measure"];
            memoryTotal?: number;
            /** @description How many seconds of the range have samples of the host, or of a container of it */
            watched: number;
        };
        Instance: {
            current?: boolean;
            ended?: number;
            exitCode?: number;
            id: string;
            image: string;
            name: string;
            started?: number;
            /** @enum {string} */
            state: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead" | "gone" | "unknown";
        };
        Interval: {
            /** @description Milliseconds */
            ms: number;
        };
        /** @description Any JSON */
        Json: AnyJson;
        Kill: {
            /** @description Bytes that it had for itself */
            anonymous?: number;
            /** @description Where it was; absent where the kernel does not tell */
            cgroup?: string;
            /** @description Absent for a process outside of containers, and where the kernel does not tell */
            container?: string;
            /** @description What the kernel wrote of it */
            lines: string[];
            /** @description The whole machine had no memory left, not one cgroup */
            machine?: boolean;
            /** @description Of the container, where it is known */
            name?: string;
            /** @description On the host */
            pid: number;
            /** @description What the process called itself */
            task: string;
            time: number;
            workload?: string;
        };
        Killed: {
            /** @description Bytes that it had for itself */
            anonymous?: number;
            /** @description The whole machine had no memory left */
            machine?: boolean;
            /** @description On the host */
            pid: number;
            /** @description What it called itself */
            task: string;
            time: number;
        };
        KillsAnswer: {
            kills: components["schemas"]["Kill"][];
        };
        KindsAnswer: {
            types: components["schemas"]["ServiceType"][];
        };
        Line: {
            level?: string;
            stream?: string;
            text: string;
            time: number;
        };
        Made: {
            host: string;
            id: string;
            made: components["schemas"]["Time"];
            /** @description A secret that is told this once */
            token: string;
        };
        Measure: {
            /** @description The greatest of the samples; of what has several parts, as CPUs and interfaces, of the steps */
            max: number;
            /** @description Over the time in which the host was watched */
            mean: number;
            /** @description The means of the steps, null where there is no sample */
            points?: (number | null)[];
        };
        Mount: {
            destination: string;
            readOnly?: boolean;
            source?: string;
            type: string;
        };
        Moved: {
            /** @description What was usual in the range */
            after: number | null;
            /** @description What was usual in the range before, the median; null where it did not run then */
            before: number | null;
            /** @description The id of the last one */
            container?: string;
            host: string;
            /**
             * @description Those of a host begin with host. CPU is in cores, memory and space in bytes, rates in bytes or packets per second, throttled and pressure in seconds per second
             * @enum {string}
             */
            measure: "blkRead" | "blkWrite" | "cache" | "cpu" | "cpuPressure" | "hostAvailable" | "hostCpu" | "hostCpuPressure" | "hostIoPressure" | "hostMemoryPressure" | "hostRead" | "hostRx" | "hostSpace" | "hostTx" | "hostWritten" | "ioPressure" | "memory" | "memoryPressure" | "netErrors" | "rx" | "swap" | "tcp" | "threads" | "throttled" | "tx";
            name?: string;
            /** @description Which of several: a device, a mount point, a state of connections */
            part?: string;
            /** @description What was usual moved less than what was high: before and after are what one step in ten is above */
            peak?: boolean;
            /** @description The means of the steps of both ranges, null where there is no sample */
            points: (number | null)[];
            /** @description How many times further it moved than it did before, and than is worth a word */
            score: number;
            /** @description Absent for the host's own */
            workload?: string;
        };
        Network: {
            ip?: string;
            ipv6?: string;
            name: string;
        };
        NewSilence: {
            comment?: string;
            /** @description As host="a" or workload=~"ci/.*", all of which must fit */
            matchers: string[];
            /** @description Its end, in milliseconds since 1970 */
            until: number;
        };
        Now: {
            anon?: number;
            /** @description Block IO, bytes per second */
            blkRead?: number;
            blkWrite?: number;
            cache?: number;
            cpu?: number;
            cpuSystem?: number;
            cpuUser?: number;
            kernel?: number;
            /** @description Working set in bytes */
            memory?: number;
            memoryUsage?: number;
            pids?: number;
            rx?: number;
            swap?: number;
            t: number;
            throttled?: number;
            tx?: number;
        };
        PatternsAnswer: {
            /** @description How many of them are of no pattern, since there are too many */
            apart: number;
            /** @description The share of the range's time in which they lie: less than 1 where there are too many to read all */
            covered: number;
            end: number;
            /** @description How many more there are */
            left: number;
            /** @description How many lines were read */
            lines: number;
            /** @description The most frequent first */
            patterns: components["schemas"]["CountedPattern"][];
            start: number;
        };
        Port: {
            hostIp?: string;
            hostPort?: number;
            port: number;
            protocol: string;
        };
        Problem: {
            deaths?: number;
            engine?: string;
            exitCode?: string;
            host: string;
            kind: string;
            oom?: boolean;
            since: number;
            text?: string;
            workload?: string;
        };
        ProblemsAnswer: {
            problems: components["schemas"]["Problem"][];
        };
        Process: {
            /** @description With its arguments, without secrets; absent for one that has none */
            command?: string;
            /** @description Seconds of CPU time in all: two answers tell what it takes */
            cpu: number;
            /** @description How many files it has open; absent where that may not be read */
            files?: number;
            /** @description In its container, where the kernel tells */
            inside?: number;
            /** @description Bytes that are in memory, shared ones too */
            memory: number;
            /** @description What the kernel calls it */
            name: string;
            /** @description On the host */
            parent: number;
            /** @description On the host */
            pid: number;
            /** @description The kernel's letter: R runs, S sleeps, D waits for a disk, T is stopped, Z has ended */
            state: string;
            threads: number;
            /** @description The user as the host has it */
            uid: number;
        };
        ProcessesAnswer: {
            /** @description How many more there are */
            left: number;
            /** @description Those that ran longest first */
            processes: components["schemas"]["Process"][];
            time: number;
            /** @description Why they are not known */
            why?: string;
        };
        Receiver: {
            failed: number;
            failingSince?: number;
            /** @description Where it is reached; the rest of its line is secret */
            host?: string;
            /** @description What it is: https, smtp, slack, ntfy … */
            kind: string;
            lastError?: string;
            lastSuccess?: number;
            /** @description Alarms that came and went while it was away, for one message when it is back */
            missed: number;
            /** @description From 1, in the order of the setting alarms.notify */
            number: number;
            sent: number;
            /** @description Alarms that wait for one message, since there were too many */
            waiting: number;
        };
        ReceiversAnswer: {
            receivers: components["schemas"]["Receiver"][];
        };
        Report: {
            cost: components["schemas"]["Costs"];
            disk?: components["schemas"]["Disk"];
            /** @description What was lost since the start; only counts above 0 */
            dropped: components["schemas"]["Dropped"][];
            features: components["schemas"]["Feature"][];
            host: string;
            stores: components["schemas"]["Store"][];
            time: number;
            version: string;
            /** @description How it runs: as a binary or in a container */
            where: string;
        };
        Right: {
            /** @description Which of it: the capabilities, the ports */
            detail?: string;
            /** @enum {string} */
            id: "privileged" | "socket" | "hostpid" | "hostnetwork" | "capabilities" | "root" | "writable" | "nolimit" | "latest" | "public";
        };
        Rule: {
            /** @description For how many sets of labels it is pending or fires */
            active: number;
            /** @description Whether it comes with tallyman */
            builtin: boolean;
            /** @description What went wrong then */
            error?: string;
            /** @description When it was evaluated last */
            evaluated?: number;
            expr: string;
            /** @description How long the condition must hold, in milliseconds */
            for: number;
            group: string;
            /** @description promql or logql */
            language: string;
            name: string;
            severity: string;
            /** @description inactive, pending or firing */
            state: string;
            /** @description How long that took, in seconds */
            took: number;
        };
        RulesAnswer: {
            rules: components["schemas"]["Rule"][];
        };
        Servers: {
            auth: boolean;
            /** @description Empty without any engine */
            hosts: components["schemas"]["Host"][];
            /** @description Seconds between stored samples */
            interval: number;
            time: number;
            version: string;
        };
        Service: {
            container: string;
            /** @description Series that it has beside, over a limit */
            dropped?: number;
            /** @description Time between two scrapes, in seconds */
            every: number;
            /** @description dial, auth, timeout, parse, permission, limit or config */
            fault?: string;
            /** @description What to do */
            fix?: string;
            host: string;
            /** @description The label instance of its series; the label job is the type in lower case */
            instance: string;
            name: string;
            /** @description What to know although it is up */
            note?: string;
            /** @description Who asked for it: rule, run label, image label, convention or detection */
            origin: string;
            /** @description Why it is not up */
            reason?: string;
            /** @description When it answered last */
            scraped?: number;
            series: number;
            since: number;
            /** @description The rule's name or the label's key */
            source?: string;
            /** @description pending, up, down, auth (the login is refused) or paused */
            state: string;
            /** @description How long that took, in seconds */
            took?: number;
            /** @description PluginType */
            type: string;
            /** @description What it asks: a port, a socket, a URL, a command */
            where: string;
            workload: string;
        };
        ServiceChart: {
            lines: components["schemas"]["ServiceLine"][];
            title: string;
            unit: string;
        };
        ServiceKey: {
            /** @description Whether every plugin has it */
            common?: boolean;
            default?: string;
            example?: string;
            help: string;
            /** @description Whether it is a list by nature */
            list?: boolean;
            name: string;
            /** @description Whether only rules may have it */
            rule?: boolean;
            /** @description text, secret, number, port, bool, duration, path, url or command */
            type: string;
            /** @description Whether labels of images may not have it */
            write?: boolean;
        };
        ServiceLine: {
            /** @description The label of which each value is a line */
            by?: string;
            metric: string;
            name: string;
            /** @description Whether its rate per second is drawn */
            rate?: boolean;
            /** @description Labels that must have these values */
            where?: {
                [key: string]: string;
            };
        };
        ServiceMistake: {
            container?: string;
            /** @description Which entry of the list, from 1 */
            entry?: number;
            host?: string;
            name?: string;
            /** @description Where in bytes; -1 when that does not matter */
            offset: number;
            /** @description The label's key */
            source: string;
            text: string;
            /** @description Whether the entry is followed all the same */
            warning?: boolean;
            workload?: string;
        };
        ServiceQuestion: {
            /** @description Whether it stands in an image, which is trusted less */
            image?: boolean;
            /** @description The label's key, tallyman.plugins by default */
            key: string;
            value: string;
        };
        ServiceType: {
            /** @description A login with the least rights, in Markdown */
            account?: string;
            aliases: string[];
            charts: components["schemas"]["ServiceChart"][];
            /** @description By what it is found, in Markdown */
            detect: string;
            /** @description Time between two scrapes, in seconds */
            every: number;
            /** @description A label */
            example: string;
            /** @description Whether it is found without being asked for */
            found: boolean;
            /** @description What works without configuration, in Markdown */
            free: string;
            keys: components["schemas"]["ServiceKey"][];
            /** @description Whether it runs a command in the container */
            runs: boolean;
            summary: string;
            type: string;
        };
        ServiceWish: {
            keys: string[];
            type: string;
            where: string;
        };
        ServicesAnswer: {
            mistakes: components["schemas"]["ServiceMistake"][];
            services: components["schemas"]["Service"][];
        };
        Session: {
            auth: boolean;
            host: string;
            version: string;
        };
        SettingChange: {
            path: string;
            /** @description old → new */
            text: string;
        };
        Sibling: {
            /** @description Whether it is of the same project */
            project?: boolean;
            text: string;
            time: number;
            /** @description How often, the first time at time */
            times?: number;
            workload: string;
        };
        SiblingsAnswer: {
            differences: components["schemas"]["Difference"][];
            members: components["schemas"]["Snapshot"][];
            /** @description How many containers of the service were not compared */
            more?: number;
        };
        Silence: {
            author: string;
            comment: string;
            ends: number;
            id: string;
            /** @description As host="a" or workload=~"ci/.*", all of which must fit */
            matchers: string[];
            starts: number;
            /** @description active, pending or expired */
            state: string;
        };
        SilenceMade: {
            id: string;
        };
        SilencesAnswer: {
            silences: components["schemas"]["Silence"][];
        };
        Snapshot: {
            /** @description The paths that differ from the one before */
            changes?: string[];
            /** @description The configuration itself, without secrets */
            config?: components["schemas"]["Json"];
            /** @description The hash that Docker Compose gives its file's part about the service; of a container that Compose made */
            configHash?: string;
            hash: string;
            host: string;
            /** @description Of the container or image */
            id: string;
            image?: string;
            /** @description container or image */
            kind: string;
            name?: string;
            /** @description The snapshot before of the same workload */
            previous?: string;
            time: number;
            workload?: string;
        };
        SnapshotsAnswer: {
            more: boolean;
            snapshots: components["schemas"]["Snapshot"][];
        };
        Spark: {
            /** @description Oldest first, spread over the last 15 minutes */
            cpu: (number | null)[];
            memory: (number | null)[];
        };
        Step: {
            /** @description Of a change of the configuration: what was changed */
            changes?: components["schemas"]["Changed"][];
            /** @description When it began, if it took a while */
            from?: number;
            /** @enum {string} */
            kind: "change" | "deaths" | "growth" | "health" | "host" | "killed" | "line" | "siblings" | "signal" | "start";
            /** @description How many changes more there were */
            left?: number;
            /** @description What more is known of it */
            text?: string;
            time: number;
            /** @description What happened */
            title: string;
        };
        Store: {
            bytes: number;
            /** @description Bytes; 0 for none */
            limit: number;
            name: string;
            newest?: number;
            oldest?: number;
            reason?: string;
            /** @description Seconds; 0 for ever */
            retention: number;
            series?: number;
            /** @enum {string} */
            state: "works" | "partly" | "off" | "unknown";
        };
        TestAnswer: {
            /** @description What the receiver said */
            answer: string;
        };
        Tick: {
            hosts?: {
                [key: string]: components["schemas"]["HostFigures"];
            };
            now: {
                [key: string]: components["schemas"]["Now"];
            };
            time: number;
        };
        Time: Record<string, never>;
        Tokens: {
            tokens: components["schemas"]["Writer"][];
        };
        Trial: {
            /** @description Whether there was no time for more */
            cut: boolean;
            end: number;
            /** @description The newest 100, the newest last */
            episodes: components["schemas"]["Episode"][];
            expr: string;
            /** @description How often it would have fired */
            fired: number;
            /** @description How long the condition must hold, in milliseconds */
            for: number;
            group: string;
            /** @description Between evaluations, in milliseconds */
            interval: number;
            /** @description How long it goes on after that, in milliseconds */
            keep: number;
            /** @description promql or logql */
            language: string;
            /** @description For how long it would have fired in all, in milliseconds */
            lasted: number;
            severity: string;
            /** @description What was looked at */
            start: number;
            /** @description How often it would have been pending, and no more */
            waited: number;
        };
        TrialAnswer: {
            /** @description One for each rule of that name */
            trials: components["schemas"]["Trial"][];
        };
        UsageAnswer: {
            /** @description Those with samples in the range, by their mean CPU, the greatest first */
            containers: components["schemas"]["ContainerUsage"][];
            end: number;
            /** @description By name */
            hosts: components["schemas"]["HostUsage"][];
            start: number;
            /** @description Milliseconds of a step */
            step: number;
        };
        Wanted: {
            /** @description The host that the token writes about, as its tallyman calls itself */
            host: string;
        };
        WatchedAnswer: {
            /** @description Nothing was watched before. Else older samples were there once, and are no longer kept */
            began?: boolean;
            /** @description When the oldest sample of the host is that is kept; left out without one */
            first?: number;
        };
        WatchedFor: {
            /** @description Seconds of the range that have */
            after: number;
            /** @description Seconds of the range before that have samples of anything of it */
            before: number;
            host: string;
        };
        Why: {
            /** @description When it died */
            at: number;
            /** @description Numbers of the five minutes before */
            before: components["schemas"]["Figure"][];
            /** @description How it came to this: at most six steps before it, the oldest first */
            chain: components["schemas"]["Step"][];
            /** @description The last change of its configuration within a day before */
            change?: components["schemas"]["Happened"];
            container: string;
            exit: components["schemas"]["Exit"];
            /** @description One sentence: the first cause of a fixed list that fits */
            guess: string;
            host: string;
            image: string;
            /** @description Processes of it that the kernel killed for want of memory */
            killed?: components["schemas"]["Killed"][];
            /** @description The last ones before the death, the newest last */
            lines: components["schemas"]["Line"][];
            name: string;
            /** @description What could not be found out, and why */
            notKnown: string[];
            /** @description What happened to other workloads of that host within two minutes */
            siblings: components["schemas"]["Sibling"][];
            workload: string;
        };
        WhyAnswer: {
            /** @description Left out where no death is known */
            why?: components["schemas"]["Why"];
        };
        WorkloadCount: {
            count: number;
            host: string;
            /** @description Of the newest container */
            name: string;
            workload: string;
        };
        Writer: {
            host: string;
            id: string;
            made: components["schemas"]["Time"];
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type Absence = components['schemas']['Absence'];
export type Alarm = components['schemas']['Alarm'];
export type AlarmHistoryAnswer = components['schemas']['AlarmHistoryAnswer'];
export type AlarmsAnswer = components['schemas']['AlarmsAnswer'];
export type Call = components['schemas']['Call'];
export type Change = components['schemas']['Change'];
export type Changed = components['schemas']['Changed'];
export type ChangedLines = components['schemas']['ChangedLines'];
export type ChangesAnswer = components['schemas']['ChangesAnswer'];
export type Chart = components['schemas']['Chart'];
export type CheckAnswer = components['schemas']['CheckAnswer'];
export type Choice = components['schemas']['Choice'];
export type ChoicesAnswer = components['schemas']['ChoicesAnswer'];
export type Configuration = components['schemas']['Configuration'];
export type ConfigurationsAnswer = components['schemas']['ConfigurationsAnswer'];
export type Container = components['schemas']['Container'];
export type ContainerSnapshot = components['schemas']['ContainerSnapshot'];
export type ContainerUsage = components['schemas']['ContainerUsage'];
export type ContainersAnswer = components['schemas']['ContainersAnswer'];
export type Cost = components['schemas']['Cost'];
export type Costs = components['schemas']['Costs'];
export type CountedPattern = components['schemas']['CountedPattern'];
export type Crashes = components['schemas']['Crashes'];
export type Credentials = components['schemas']['Credentials'];
export type Daemon = components['schemas']['Daemon'];
export type DetailAnswer = components['schemas']['DetailAnswer'];
export type DiffAnswer = components['schemas']['DiffAnswer'];
export type Difference = components['schemas']['Difference'];
export type Disk = components['schemas']['Disk'];
export type Dropped = components['schemas']['Dropped'];
export type Engine = components['schemas']['Engine'];
export type EngineChange = components['schemas']['EngineChange'];
export type Episode = components['schemas']['Episode'];
export type Event = components['schemas']['Event'];
export type EventsAnswer = components['schemas']['EventsAnswer'];
export type EventsSnapshot = components['schemas']['EventsSnapshot'];
export type EventsSummary = components['schemas']['EventsSummary'];
export type Exit = components['schemas']['Exit'];
export type Failure = components['schemas']['Failure'];
export type FailureText = components['schemas']['FailureText'];
export type Feature = components['schemas']['Feature'];
export type Figure = components['schemas']['Figure'];
export type FoundPattern = components['schemas']['FoundPattern'];
export type Happened = components['schemas']['Happened'];
export type Happening = components['schemas']['Happening'];
export type HistoryAnswer = components['schemas']['HistoryAnswer'];
export type Host = components['schemas']['Host'];
export type HostFigures = components['schemas']['HostFigures'];
export type HostUsage = components['schemas']['HostUsage'];
export type Instance = components['schemas']['Instance'];
export type Interval = components['schemas']['Interval'];
export type Json = components['schemas']['Json'];
export type Kill = components['schemas']['Kill'];
export type Killed = components['schemas']['Killed'];
export type KillsAnswer = components['schemas']['KillsAnswer'];
export type KindsAnswer = components['schemas']['KindsAnswer'];
export type Line = components['schemas']['Line'];
export type Made = components['schemas']['Made'];
export type Measure = components['schemas']['Measure'];
export type Mount = components['schemas']['Mount'];
export type Moved = components['schemas']['Moved'];
export type Network = components['schemas']['Network'];
export type NewSilence = components['schemas']['NewSilence'];
export type Now = components['schemas']['Now'];
export type PatternsAnswer = components['schemas']['PatternsAnswer'];
export type Port = components['schemas']['Port'];
export type Problem = components['schemas']['Problem'];
export type ProblemsAnswer = components['schemas']['ProblemsAnswer'];
export type Process = components['schemas']['Process'];
export type ProcessesAnswer = components['schemas']['ProcessesAnswer'];
export type Receiver = components['schemas']['Receiver'];
export type ReceiversAnswer = components['schemas']['ReceiversAnswer'];
export type Report = components['schemas']['Report'];
export type Right = components['schemas']['Right'];
export type Rule = components['schemas']['Rule'];
export type RulesAnswer = components['schemas']['RulesAnswer'];
export type Servers = components['schemas']['Servers'];
export type Service = components['schemas']['Service'];
export type ServiceChart = components['schemas']['ServiceChart'];
export type ServiceKey = components['schemas']['ServiceKey'];
export type ServiceLine = components['schemas']['ServiceLine'];
export type ServiceMistake = components['schemas']['ServiceMistake'];
export type ServiceQuestion = components['schemas']['ServiceQuestion'];
export type ServiceType = components['schemas']['ServiceType'];
export type ServiceWish = components['schemas']['ServiceWish'];
export type ServicesAnswer = components['schemas']['ServicesAnswer'];
export type Session = components['schemas']['Session'];
export type SettingChange = components['schemas']['SettingChange'];
export type Sibling = components['schemas']['Sibling'];
export type SiblingsAnswer = components['schemas']['SiblingsAnswer'];
export type Silence = components['schemas']['Silence'];
export type SilenceMade = components['schemas']['SilenceMade'];
export type SilencesAnswer = components['schemas']['SilencesAnswer'];
export type Snapshot = components['schemas']['Snapshot'];
export type SnapshotsAnswer = components['schemas']['SnapshotsAnswer'];
export type Spark = components['schemas']['Spark'];
export type Step = components['schemas']['Step'];
export type Store = components['schemas']['Store'];
export type TestAnswer = components['schemas']['TestAnswer'];
export type Tick = components['schemas']['Tick'];
export type Time = components['schemas']['Time'];
export type Tokens = components['schemas']['Tokens'];
export type Trial = components['schemas']['Trial'];
export type TrialAnswer = components['schemas']['TrialAnswer'];
export type UsageAnswer = components['schemas']['UsageAnswer'];
export type Wanted = components['schemas']['Wanted'];
export type WatchedAnswer = components['schemas']['WatchedAnswer'];
export type WatchedFor = components['schemas']['WatchedFor'];
export type Why = components['schemas']['Why'];
export type WhyAnswer = components['schemas']['WhyAnswer'];
export type WorkloadCount = components['schemas']['WorkloadCount'];
export type Writer = components['schemas']['Writer'];
export type $defs = Record<string, never>;
export interface operations {
    get_alarms: {
        parameters: {
            query?: {
                /** @description Only of this host */
                host?: string;
                /** @description Only of this workload */
                workload?: string;
                /** @description Only these */
                state?: "pending" | "firing";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AlarmsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    post_alarms_acknowledged_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SilenceMade"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    delete_alarms_acknowledged_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SilenceMade"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_alarms_choices: {
        parameters: {
            query?: {
                /** @description Only of this host */
                host?: string;
                /** @description Only of this workload */
                workload?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChoicesAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_alarms_history: {
        parameters: {
            query?: {
                /** @description Only of this host */
                host?: string;
                /** @description Only of this workload */
                workload?: string;
                /** @description Alarms that changed from this time on, in milliseconds since 1970 */
                start?: number;
                /** @description Alarms that changed before this time, in milliseconds since 1970 */
                end?: number;
                /** @description How many at most, 1 to 1000 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AlarmHistoryAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_alarms_receivers: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ReceiversAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    post_alarms_receivers_number_test: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                number: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TestAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Bad Gateway */
            502: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_alarms_rules: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RulesAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_alarms_rules_name_test: {
        parameters: {
            query?: {
                /** @description From this time on, at most 31 days before the end; without it 7 days before the end, in milliseconds since 1970 */
                start?: number;
                /** @description Until this time; without it now, in milliseconds since 1970 */
                end?: number;
            };
            header?: never;
            path: {
                name: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TrialAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_alarms_silences: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SilencesAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    post_alarms_silences: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSilence"];
            };
        };
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SilenceMade"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    delete_alarms_silences_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SilenceMade"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_alarms_id: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DetailAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_changes: {
        parameters: {
            query: {
                /** @description From this time on, in milliseconds since 1970 */
                start: number;
                /** @description Until when, in milliseconds since 1970; now without it */
                end?: number;
                /** @description Of this host */
                host?: string;
                /** @description Of this workload of the host, and of nothing else */
                workload?: string;
                /** @description How many numbers that moved, 1 to 500 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangesAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_changes_lines: {
        parameters: {
            query: {
                /** @description From this time on, in milliseconds since 1970 */
                start: number;
                /** @description Until when, in milliseconds since 1970; now without it */
                end?: number;
                /** @description Of this host */
                host?: string;
                /** @description Of this workload */
                workload?: string;
                /** @description How many of each, 1 to 500 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ChangedLines"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_configurations: {
        parameters: {
            query?: {
                /** @description Only those whose present container has this setting, as NAME=VALUE, 8 at most, all of which hold: a right, or the path of a setting or its end (HostConfig.NetworkMode, networkmode); yes or no for set or not, else a part of the value */
                set?: string[];
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConfigurationsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_containers: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ContainersAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_containers_ref: {
        parameters: {
            query?: {
                /** @description On this host; names may be the same on several */
                host?: string;
            };
            header?: never;
            path: {
                ref: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Container"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_containers_ref_processes: {
        parameters: {
            query?: {
                /** @description On this host; names may be the same on several */
                host?: string;
            };
            header?: never;
            path: {
                ref: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProcessesAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_diff: {
        parameters: {
            query: {
                /** @description The hash of the earlier one */
                a: string;
                /** @description The hash of the later one */
                b: string;
                /** @description Name what every new container has anew, too */
                all?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["DiffAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_doctor: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Report"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_events: {
        parameters: {
            query?: {
                /** @description Of one of these hosts */
                host?: string[];
                /** @description Of the container with this id */
                container?: string;
                /** @description Of one of these workloads */
                workload?: string[];
                /** @description Of this image */
                image?: string;
                /** @description Of one of these types: container, image, network, volume, daemon, engine, tallyman … */
                type?: string[];
                /** @description With one of these actions: start, die, oom … */
                action?: string[];
                /** @description With none of these actions */
                without?: string[];
                /** @description Of one of these severities; plain are those without one */
                severity?: ("critical" | "warning" | "info" | "good" | "plain")[];
                /** @description With this text in its words, name, image, type, action or attributes, in upper or lower case */
                q?: string;
                /** @description From when, in milliseconds since 1970 */
                start?: number;
                /** @description Until when, in milliseconds since 1970; now without it */
                end?: number;
                /** @description Older than the event with this id */
                before?: string;
                /** @description How many, 1 to 5000 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_events_summary: {
        parameters: {
            query?: {
                /** @description Of one of these hosts */
                host?: string[];
                /** @description Of the container with this id */
                container?: string;
                /** @description Of one of these workloads */
                workload?: string[];
                /** @description Of this image */
                image?: string;
                /** @description Of one of these types: container, image, network, volume, daemon, engine, tallyman … */
                type?: string[];
                /** @description With one of these actions: start, die, oom … */
                action?: string[];
                /** @description With none of these actions */
                without?: string[];
                /** @description Of one of these severities; plain are those without one */
                severity?: ("critical" | "warning" | "info" | "good" | "plain")[];
                /** @description With this text in its words, name, image, type, action or attributes, in upper or lower case */
                q?: string;
                /** @description From when, in milliseconds since 1970 */
                start?: number;
                /** @description Until when, in milliseconds since 1970; now without it */
                end?: number;
                /** @description How many columns at most, 1 to 1000 */
                points?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventsSummary"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_history: {
        parameters: {
            query: {
                /** @description The workload of a container, as /containers has it */
                workload: string;
                /** @description Its host */
                host: string;
                /** @description From when, in milliseconds since 1970 */
                start?: number;
                /** @description Until when, in milliseconds since 1970; now without it */
                end?: number;
                /** @description How many points, 1 to 11000 */
                points?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["HistoryAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_kills: {
        parameters: {
            query: {
                /** @description On this host */
                host: string;
                /** @description From when, in milliseconds since 1970 */
                start?: number;
                /** @description Until when, in milliseconds since 1970; now without it */
                end?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KillsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_live: {
        parameters: {
            query: {
                /** @description What is shown */
                view: "servers" | "container" | "events";
                /** @description With view=container: the host of the workload */
                host?: string;
                /** @description With view=container: the workload, as /containers has it */
                workload?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": ({
                        data: components["schemas"]["Interval"];
                        /** @enum {string} */
                        event: "interval";
                    } | {
                        data: components["schemas"]["Servers"];
                        /** @enum {string} */
                        event: "snapshot";
                    } | {
                        data: components["schemas"]["ContainerSnapshot"];
                        /** @enum {string} */
                        event: "snapshot";
                    } | {
                        data: components["schemas"]["EventsSnapshot"];
                        /** @enum {string} */
                        event: "snapshot";
                    } | {
                        data: components["schemas"]["Tick"];
                        /** @enum {string} */
                        event: "tick";
                    } | {
                        data: components["schemas"]["Container"];
                        /** @enum {string} */
                        event: "container";
                    } | {
                        data: components["schemas"]["Event"];
                        /** @enum {string} */
                        event: "event";
                    } | {
                        data: components["schemas"]["EngineChange"];
                        /** @enum {string} */
                        event: "engine";
                    })[];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    post_login: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Credentials"];
            };
        };
        responses: {
            /** @description Done */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Too Many Requests */
            429: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    post_logout: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Done */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_openapi_json: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": Record<string, never>;
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_patterns: {
        parameters: {
            query: {
                /** @description A log query in LogQL */
                query: string;
                /** @description From this time on, in milliseconds since 1970 */
                start: number;
                /** @description Until when, in milliseconds since 1970; now without it */
                end?: number;
                /** @description How many, 1 to 300 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["PatternsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_problems: {
        parameters: {
            query?: {
                /** @description Only of this host */
                host?: string;
                /** @description Only of this workload */
                workload?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ProblemsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_servers: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Servers"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    services: {
        parameters: {
            query?: {
                /** @description Of this host */
                host?: string;
                /** @description Of this workload */
                workload?: string;
                /** @description Of the container with this full id */
                container?: string;
                /** @description Of this plugin */
                type?: string;
                /** @description In this state */
                state?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ServicesAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    checkService: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ServiceQuestion"];
            };
        };
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["CheckAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    serviceTypes: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KindsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_session: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Session"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_siblings: {
        parameters: {
            query: {
                /** @description The workload of one of them, as /containers has it */
                workload: string;
                /** @description Its host */
                host: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SiblingsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_snapshots: {
        parameters: {
            query?: {
                /** @description Of this workload; this, container or image is needed */
                workload?: string;
                /** @description Of the container with this id, first 12 digits of one or more, or name */
                container?: string;
                /** @description Of the image with this id or name */
                image?: string;
                /** @description Of this host */
                host?: string;
                /** @description How many, 1 to 500 */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SnapshotsAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_snapshots_hash: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                hash: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Snapshot"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_tokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Tokens"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    post_tokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Wanted"];
            };
        };
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Made"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    delete_tokens_ref: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                ref: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Tokens"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Not Found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_usage: {
        parameters: {
            query: {
                /** @description From this time on, in milliseconds since 1970 */
                start: number;
                /** @description Until this time, in milliseconds since 1970; without it now */
                end?: number;
                /** @description How many steps the points have, 1 to 1000 */
                points?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["UsageAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_watched: {
        parameters: {
            query: {
                /** @description The host */
                host: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WatchedAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
    get_why: {
        parameters: {
            query: {
                /** @description Its full id, or its name */
                container: string;
                /** @description The death at or before this time; without it the last one, in milliseconds since 1970 */
                at?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What was asked for */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["WhyAnswer"];
                };
            };
            /** @description Bad Request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
            /** @description Unauthorized */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Failure"];
                };
            };
        };
    };
}
