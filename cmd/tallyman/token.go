// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"tallyman/api/auth"
	"tallyman/config"
	"tallyman/internal/clip"
	"tallyman/internal/servercert"
)

type tokenCmd struct {
	Agent  tokenAgentCmd  `cmd:"" help:"Make a token with which the agent of a host sends here. It is printed once, and kept nowhere."`
	List   tokenListCmd   `cmd:"" help:"Show the tokens that there are, not their secrets."`
	Revoke tokenRevokeCmd `cmd:"" help:"Make a token void, by its id, or all of a host."`
}

type tokenAgentCmd struct {
	settings
	Name string `arg:"" name:"host" help:"The host that it is for, as its tallyman calls itself."`
}

// Run prints the token alone on the standard output, and what to do with it beside.
func (c *tokenAgentCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"host": c.Name})
	if err != nil {
		return err
	}
	var made struct{ Token string }
	if err := askTokens(ctx, cfg, http.MethodPost, "", body, &made); err != nil {
		return err
	}
	fmt.Fprint(os.Stderr, afterToken(cfg, c.Name))
	_, err = fmt.Fprintln(out, made.Token)
	return err
}

// afterToken says what to do with a token.
func afterToken(cfg config.Config, host string) string {
	text := fmt.Sprintf("The token of %s is told this once. Put it into a file there, and start its tallyman with\n  TALLYMAN_HUB=%s://%s TALLYMAN_HUB_TOKEN_FILE=/the/file", clip.Plain(host), scheme(cfg), hubAddress(cfg))
	if cfg.TLS.Auto {
		if c, err := servercert.Open(servercert.File(cfg.Data), servercert.File(cfg.Data)); err == nil {
			text += " TALLYMAN_HUB_PIN=" + c.Pin()
		}
	}
	if !cfg.Receive.Agents {
		text += "\nThis tallyman takes nothing of agents yet: set receive.agents: true, and start it again."
	}
	return text + "\n"
}

// hubAddress is under which name agents find this tallyman, as far as it can know.
func hubAddress(cfg config.Config) string {
	_, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return cfg.Host
	}
	return net.JoinHostPort(cfg.Host, port)
}

type tokenListCmd struct {
	settings
}

// Run prints a line for each token.
func (c *tokenListCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var a tokensAnswer
	if err := askTokens(ctx, cfg, http.MethodGet, "", nil, &a); err != nil {
		return err
	}
	return a.print(out)
}

type tokenRevokeCmd struct {
	settings
	Ref string `arg:"" name:"id|host" help:"Id of the token, as token list shows it, or the host."`
}

// Run revokes, and prints what is void.
func (c *tokenRevokeCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var a tokensAnswer
	if err := askTokens(ctx, cfg, http.MethodDelete, "/"+url.PathEscape(c.Ref), nil, &a); err != nil {
		return err
	}
	return a.print(out)
}

type tokensAnswer struct{ Tokens []auth.Writer }

func (a *tokensAnswer) print(out io.Writer) error {
	for _, t := range a.Tokens {
		if _, err := fmt.Fprintf(out, "%s  %s  %s\n", t.ID, t.Made.Format(time.DateTime), clip.Plain(t.Host)); err != nil {
			return err
		}
	}
	return nil
}

// askTokens asks the running tallyman about tokens.
func askTokens(ctx context.Context, cfg config.Config, method, path string, body []byte, to any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	base, client, err := running(cfg)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, base+"/api/tallyman/v1/tokens"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = tokenHeader(cfg)
	resp, err := client.Do(req)
	if err != nil {
		return notThere(cfg, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return errors.New("it asks for a login, and the token in the data directory cannot be read; name its data directory with --data, as a user who may read it")
	}
	if resp.StatusCode != http.StatusOK {
		var f struct {
			Error struct{ Message, Next string }
		}
		if json.Unmarshal(text, &f) != nil || f.Error.Message == "" {
			return fmt.Errorf("it answers %s", resp.Status)
		}
		if f.Error.Next != "" {
			return fmt.Errorf("%s; %s", f.Error.Message, f.Error.Next)
		}
		return errors.New(f.Error.Message)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
